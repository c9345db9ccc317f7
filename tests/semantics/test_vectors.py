import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from wenmo.semantics.vectors import Vocabulary


def test_tfidf_is_that_of_scikit_learn(words):
    vocabulary = Vocabulary.of(words)
    peer = TfidfVectorizer(analyzer=lambda d: d, vocabulary=list(vocabulary.words), sublinear_tf=True)
    expected = peer.fit_transform(words)
    assert np.abs(vocabulary.tfidf(words) - expected).max() < 1e-12


def test_rare_and_general_words_are_left_out():
    documents = [["common", "甲" if i % 2 else "乙"] for i in range(30)] + [["once"]]
    vocabulary = Vocabulary.of(documents)
    assert set(vocabulary.words) == {"甲", "乙"}
    assert vocabulary.frequencies.tolist() == [15, 15] and vocabulary.documents == 31
    assert "once" in Vocabulary.of(documents, least=1).words
    assert len(Vocabulary.of(documents, least=1, largest=1).words) == 1


def test_few_documents_keep_every_word():
    assert set(Vocabulary.of([["甲"], ["b"]]).words) == {"甲", "b"}


def test_unknown_words_are_rows_of_zeros(words):
    vocabulary = Vocabulary.of(words)
    matrix = vocabulary.tfidf([["zzz"], [], words[0]])
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    assert lengths == pytest.approx([0, 0, 1])
    assert vocabulary.counts([[words[0][0]] * 3]).sum() == 3
    assert Vocabulary.of([]).tfidf([]).shape == (0, 0)
