import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.config import CorpusSettings
from wenmo.corpus.inputs import find_inputs
from wenmo.corpus.planning import plan_source
from wenmo.retrieval.passages import cut_passages, read_passages


def passages_of(path, most=None):
    source = find_inputs([path], path.parent / "stdin").sources[0]
    return list(read_passages(plan_source(source, "", CorpusSettings()), most))


@given(st.text(alphabet="ab c。.\n！你好吗 ", max_size=300), st.integers(5, 60))
def test_passages_hold_every_character_and_keep_their_order(text, most):
    cut = cut_passages(text, most)
    assert all(0 < end - start <= most for start, end in cut)
    assert all(before[1] <= after[0] for before, after in pairwise(cut))
    outside = "".join(
        text[a:b] for a, b in zip([0, *(e for _, e in cut)], [*(s for s, _ in cut), len(text)], strict=True)
    )
    assert not outside.strip()


def test_paragraphs_stay_whole_and_short_ones_are_joined():
    long, short = "很长的一段。" * 10, "短段。"
    text = f"{long}\n\n{short}\n{short}\n\n{long}"
    cut = [text[a:b] for a, b in cut_passages(text, 70)]
    assert cut == [long, f"{short}\n{short}\n\n{long}"] or cut == [long, f"{short}\n{short}", long]


def test_a_long_paragraph_is_cut_between_sentences():
    text = "第一句话在这里。第二句话也在这里。第三句话还在这里。"
    cut = [text[a:b] for a, b in cut_passages(text, 20)]
    assert cut == ["第一句话在这里。第二句话也在这里。", "第三句话还在这里。"]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_places_point_into_the_file(tmp_path, encoding):
    text = (
        "第一段：北京是中国的首都，有很长的历史。\n\n第二段。\n\n"
        + "上海在长江口。" * 30
        + "\n最后一段在这里结束。\n"
    )
    path = tmp_path / "城市.txt"
    path.write_bytes(text.encode(encoding))
    found = passages_of(path, 60)
    assert len(found) > 3
    for piece in found:
        assert text[piece.start : piece.start + len(piece.text)] == piece.text
        assert text.count("\n", 0, piece.start) + 1 == piece.line


def test_rows_and_pages_say_where_they_stand(tmp_path):
    rows = [{"id": 1, "text": "First row about cats."}, {"id": 2}, {"id": 3, "text": "Third row about dogs."}]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert [(p.text, p.line, p.start) for p in passages_of(path)] == [
        ("First row about cats.", 1, 0),
        ("Third row about dogs.", 3, 0),
    ]
    page = tmp_path / "page.html"
    page.write_text("<html><body><p>Hello</p><script>x()</script><p>world</p></body></html>", "utf-8")
    assert "x()" not in passages_of(page)[0].text and "Hello" in passages_of(page)[0].text
