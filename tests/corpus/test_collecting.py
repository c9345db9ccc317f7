import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.corpus.collecting import Seen
from wenmo.corpus.working import counts_by_script, html_text
from wenmo.text import SCRIPTS, script_counts


@given(st.lists(st.lists(st.integers(0, 50), max_size=20), max_size=10))
@settings(deadline=None)
def test_seen_agrees_with_a_set(batches):
    seen = Seen()
    reference = set()
    for batch in batches:
        expected = []
        for value in batch:
            expected.append(value not in reference)
            reference.add(value)
        assert seen.add(np.array(batch, np.uint64)).tolist() == expected


@given(st.lists(st.text(max_size=30), max_size=8))
@settings(deadline=None)
def test_scripts_are_counted_text_by_text(texts):
    counts = counts_by_script(texts)
    assert counts.shape == (len(texts), len(SCRIPTS))
    for row, text in zip(counts, texts, strict=True):
        assert dict(zip(SCRIPTS, row.tolist(), strict=True)) == script_counts(text)


def test_html_keeps_paragraphs_and_drops_machinery():
    page = (
        "<body><h1>题目</h1><nav>x</nav><p>a <b>b</b>\nc</p><ul><li>一<li>二</ul><pre>x\ny</pre>&lt;tag&gt;"
    )
    assert html_text(page) == "题目\n\na b c\n\n一\n二\n\nx\ny\n\n<tag>"
    assert html_text("<table><tr><td>1<td>2<tr><td>3</table>") == "1 2\n3"
