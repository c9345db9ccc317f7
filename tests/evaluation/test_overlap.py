import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.evaluation.overlap import bleu, chrf

TEXTS = st.text(alphabet="ab 小梅，.", max_size=30)
TOKENS = st.lists(st.sampled_from(["小", "梅", "the", "cat", "."]), max_size=12)


@given(TOKENS, st.lists(TOKENS, min_size=1, max_size=4))
def test_bleu_is_sacrebleus(units, references):
    sacrebleu = pytest.importorskip("sacrebleu")
    if not units or not all(references):
        return
    metric = sacrebleu.BLEU(tokenize="none", smooth_method="exp", effective_order=True)
    theirs = metric.sentence_score(" ".join(units), [" ".join(r) for r in references]).score / 100
    assert bleu(units, references) == pytest.approx(theirs, abs=1e-9)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_chrf_is_sacrebleus(pairs):
    sacrebleu = pytest.importorskip("sacrebleu")
    texts, references = [a for a, _ in pairs], [b for _, b in pairs]
    if not all("".join(reference.split()) for reference in references):
        return
    theirs = sacrebleu.corpus_chrf(texts, [references]).score
    assert chrf(texts, references) == pytest.approx(theirs, abs=1e-6)


def test_ends_of_the_scale():
    assert bleu(["a", "b", "c", "d"], [["x"], ["a", "b", "c", "d"]]) == pytest.approx(1.0)
    assert bleu([], [["a"]]) == bleu(["a"], []) == bleu(["a"], [["b"]]) == 0
    assert chrf(["春眠不觉晓"], ["春眠不觉晓"]) == pytest.approx(100)
    assert chrf([""], ["a"]) == 0
    with pytest.raises(ValueError, match="references"):
        chrf(["a"], [])
