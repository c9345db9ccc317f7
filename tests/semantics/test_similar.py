import numpy as np
import pytest
from subject_corpus import corpus

from wenmo.errors import ResourceError
from wenmo.semantics.similar import EMBEDDING_SHARE, Embeddings, Nearest, latent_vectors, read_all, unit
from wenmo.semantics.tokens import content_words


def test_the_nearest_documents_are_of_the_same_subject(language):
    texts, subjects = corpus(language)
    words = [content_words(text) for text in texts]
    nearest = Nearest.of(words)
    for i in range(6):
        found = nearest.search([words[i]], 5)[0]
        assert found[0] == (i, pytest.approx(1.0, abs=1e-6))
        assert [subjects[n] for n, _ in found] == [subjects[i]] * 5
        assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)


def test_a_word_of_one_document_finds_it(words):
    nearest = Nearest.of([*words, ["unicorn", "独角兽"]])
    assert nearest.search([["独角兽"]], 3) == [[(len(words), pytest.approx(2**-0.5, abs=1e-6))]]
    assert nearest.search([["nowhere"], []], 3) == [[], []]


def test_embeddings_count_for_a_fifth():
    words = [["甲"], ["b"], ["c"]]
    raw = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    nearest = Nearest.of(words, raw)
    (found,) = nearest.search([["b"]], 3, raw[2:])
    cosines = nearest.embeddings.vectors @ nearest.embeddings.of_new(raw[2:])[0]
    expected = EMBEDDING_SHARE * cosines + (1 - EMBEDDING_SHARE) * np.array([0, 1, 0])
    assert dict(found) == pytest.approx({i: v for i, v in enumerate(expected) if v > 0}, abs=1e-6)


def test_embeddings_are_centred_and_scaled():
    raw = np.random.default_rng(0).normal(5, (1, 100), (50, 2)).astype(np.float32)
    made = Embeddings.of(raw)
    assert made.of_new(raw) == pytest.approx(made.vectors, abs=1e-6)
    assert np.linalg.norm(made.vectors, axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert np.abs(made.vectors[:, 0]).mean() == pytest.approx(np.abs(made.vectors[:, 1]).mean(), rel=0.3)
    assert not Embeddings.of(raw[:1]).vectors.any(), "one document is its own mean"


def test_latent_vectors_keep_documents_of_a_subject_together(language):
    texts, subjects = corpus(language)
    rows = Nearest.of([content_words(text) for text in texts]).rows
    vectors = latent_vectors(rows, 0, 3)
    assert vectors.shape == (60, 3) and (vectors == latent_vectors(rows, 0, 3)).all()
    near = np.argsort(-(vectors @ vectors.T), axis=1)[:, 1]
    assert np.mean([subjects[i] == subjects[n] for i, n in enumerate(near)]) == 1


def test_rows_of_zeros_stay():
    assert not unit(np.zeros((2, 3), np.float32)).any()


def test_reading_all_tells_beforehand_when_it_is_too_long():
    def embed(texts):
        return np.ones((len(texts), 2), np.float32)

    assert read_all(embed, ["a"] * 40, seconds=60, say=print, progress=False).shape == (40, 2)
    with pytest.raises(ResourceError, match="--budget"):
        read_all(embed, ["a" * 10_000] * 8 + ["b" * 10**6] * 10_000, seconds=1e-9, say=print, progress=False)
