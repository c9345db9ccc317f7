from collections import Counter
from math import log

import numpy as np
import pytest
from subject_corpus import SUBJECTS, corpus

from wenmo.semantics.tokens import content_words
from wenmo.semantics.topics import class_tfidf, fit_topics, fits, quality
from wenmo.semantics.vectors import Vocabulary


@pytest.mark.parametrize("method", ["nmf", "lda"])
def test_subjects_are_found_again(method, language):
    texts, subjects = corpus(language)
    words = [content_words(text) for text in texts]
    topics = fit_topics(words, 3, method=method)
    assigned = topics.assign(words)
    pairs = Counter(zip(subjects, assigned.topic.tolist(), strict=True))
    assert len(pairs) == 3 and assigned.unassigned == 0, "each subject is one topic"
    for k, top in enumerate(topics.words(8)):
        subject = next(s for s, t in pairs if t == k)
        assert set(top) <= set(content_words(" ".join(SUBJECTS[language][subject])))
    assert assigned.shares.sum(1) == pytest.approx(np.ones(len(texts)))
    assert all(
        subjects[i] == subjects[assigned.representatives(0, 1)[0]] for i in assigned.representatives(0, 5)
    )


@pytest.mark.parametrize("method", ["nmf", "lda"])
def test_a_document_about_nothing_belongs_to_none(method, language, words):
    topics = fit_topics(words, 3, method=method)
    mixed = [word for subject in SUBJECTS[language] for word in content_words(" ".join(subject))]
    assigned = topics.assign([["zzz"], [], words[0], mixed])
    assert assigned.topic.tolist()[:2] == [-1, -1] and assigned.topic[2] >= 0
    assert assigned.topic[3] == -1 or assigned.shares[3].max() < 0.7
    assert not assigned.shares[:2].any()


def test_the_same_documents_give_the_same_topics(words):
    first, second = fit_topics(words, 3), fit_topics(words, 3)
    assert (first.components == second.components).all() and (first.thresholds == second.thresholds).all()


@pytest.mark.parametrize("number", [0, 61])
def test_impossible_numbers_are_refused(number, words):
    with pytest.raises(ValueError, match="more topics"):
        fit_topics(words, number)


def test_fit_is_the_cosine_with_the_reconstruction(words):
    topics = fit_topics(words, 3)
    matrix = topics.matrix(words)
    weights = np.random.default_rng(0).random((len(words), 3))
    dense = np.asarray(matrix.todense())
    made = weights @ topics.components
    expected = (dense * made).sum(1) / np.linalg.norm(dense, axis=1) / np.linalg.norm(made, axis=1)
    assert fits(matrix, weights, topics.components) == pytest.approx(expected)


def test_class_tfidf_by_hand():
    phrases = [Counter({"甲": 1, "b": 1}), Counter({"甲": 1}), Counter({"b": 2}), Counter({"lost": 9})]
    ranked = class_tfidf(phrases, np.array([0, 0, 1, -1]), 2)
    mean = 5 / 2
    assert ranked[0] == [
        ("甲", pytest.approx(2 / 3 * log(1 + mean / 2))),
        ("b", pytest.approx(1 / 3 * log(1 + mean / 3))),
    ]
    assert ranked[1] == [("b", pytest.approx(log(1 + mean / 3)))]


def test_quality_prefers_the_right_number(words):
    right, wrong = quality(fit_topics(words, 3), words), quality(fit_topics(words, 9), words)
    assert right["coherence"] > wrong["coherence"] and right["diversity"] == 1 and right["unassigned"] == 0


def test_the_vocabulary_may_be_given(words):
    vocabulary = Vocabulary.of(words[:10], least=1)
    assert fit_topics(words, 2, vocabulary=vocabulary).vocabulary is vocabulary


def test_a_weight_that_rounding_left_is_none(words):
    topics = fit_topics(words, 3)
    topics.components[topics.components < 1e-9] = 0.0
    plain, before = topics.words(), quality(topics, words)
    topics.components[topics.components == 0.0] = 1e-30
    assert topics.words() == plain and quality(topics, words)["diversity"] == before["diversity"] == 1
    assert quality(topics, words)["coherence"] == before["coherence"]
    topics.components[0] = 0.0
    assert topics.words()[0] == []
