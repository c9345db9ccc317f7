import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom, poisson

from wenmo.semantics.background import PRIOR_WORDS, Background, general_frequency, specificity
from wenmo.semantics.tokens import tokens


@given(st.integers(1, 400), st.floats(1e-6, 300))
def test_specificity_is_the_tail_of_the_poisson_distribution(count, expected):
    reference = -poisson.logsf(count - 1, expected) / math.log(10)
    if math.isfinite(reference):
        assert specificity(count, expected) == pytest.approx(reference, rel=1e-6, abs=1e-6)
    assert specificity(count, expected) >= 0


def test_specificity_is_the_limit_of_the_hypergeometric_one():
    total, of_word, document, count = 1_000_000_000, 30_000, 10_000, 6
    exact = -hypergeom.logsf(count - 1, total, of_word, document) / math.log(10)
    assert specificity(count, document * of_word / total) == pytest.approx(exact, rel=1e-3)


def test_specificity_has_no_upper_limit():
    assert specificity(5_000, 1e-3) > specificity(4_000, 1e-3) > 10_000


def test_text_at_large_knows_common_from_rare():
    assert (
        general_frequency("的", "han")
        > general_frequency("图像", "han")
        > general_frequency("偏心涡", "han")
        > 0
    )
    assert (
        general_frequency("the", "latin")
        > general_frequency("method", "latin")
        > general_frequency("qubit", "latin")
    )


def test_a_corpus_outweighs_text_at_large_as_it_grows(texts):
    background = Background.of(map(tokens, texts))
    key = tokens(texts[0])[0].key
    kind = tokens(texts[0])[0].kind
    assert Background().probability(key, kind) == general_frequency(key, kind)
    expected = (background.counts[key] + PRIOR_WORDS * general_frequency(key, kind)) / (
        background.words + PRIOR_WORDS
    )
    assert background.probability(key, kind) == pytest.approx(expected)
    assert background.documents == len(texts)


def test_burstiness_is_occurrences_for_each_document():
    background = Background.of([tokens("酒店酒店酒店"), tokens("酒店 hotel"), tokens("hotel")])
    assert background.burstiness("酒店") == pytest.approx(math.log(2))
    assert background.burstiness("hotel") == background.burstiness("nowhere") == 0


def test_it_is_saved_without_the_words_of_one_document(texts, tmp_path):
    background = Background.of(map(tokens, [*texts, "独角兽 unicorn"]))
    background.save(tmp_path / "background.npz")
    with np.load(tmp_path / "background.npz", allow_pickle=False) as arrays:
        loaded = Background.load(arrays)
    kept = background.without_single()
    assert vars(loaded) == vars(kept)
    assert "unicorn" in background.counts and "unicorn" not in loaded.counts


def test_an_empty_one_is_saved_too(tmp_path):
    Background().save(tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as arrays:
        assert vars(Background.load(arrays)) == vars(Background())
