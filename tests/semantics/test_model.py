import json

import numpy as np
import pytest
from subject_corpus import corpus

from wenmo.errors import InputError, ModelError, OptionError
from wenmo.semantics.fitting import assemble, excerpt, find_topics
from wenmo.semantics.model import ARRAYS, BACKGROUND, DESCRIPTION, SemanticModel
from wenmo.semantics.tokens import content_words


def fitted(language, embed=None):
    texts, _ = corpus(language)
    topics, _, why = find_topics([content_words(text) for text in texts], 3)
    vectors = None if embed is None else embed(texts)
    model = assemble(texts, [f"line {i}" for i in range(len(texts))], topics, embed=embed, vectors=vectors)
    model.facts = {"why": why}
    return model, texts


def embed(texts):
    return np.array([[len(text), text.count("的"), text.count("e")] for text in texts], np.float32)


@pytest.mark.parametrize("embedding", [None, embed])
def test_it_comes_back_as_it_was_saved(language, embedding, tmp_path):
    model, texts = fitted(language, embedding)
    model.save(tmp_path)
    loaded = SemanticModel.load(tmp_path, embedding)
    assert vars(loaded.background) == vars(model.background)
    assert loaded.documents == model.documents and loaded.facts == model.facts
    assert loaded.topics.labels == model.topics.labels and loaded.topic_words() == model.topic_words()
    assert all(" ".join(texts).count(word) for topic in loaded.topic_words() for word in topic)
    before, after = model.assign(texts), loaded.assign(texts)
    assert (before.shares == after.shares).all() and (before.topic == after.topic).all()
    assert loaded.similar(texts[:3]) == model.similar(texts[:3])
    assert loaded.similar([]) == []


def test_embeddings_need_their_model(tmp_path):
    model, _ = fitted("zh", embed)
    model.save(tmp_path)
    with pytest.raises(ModelError, match="language model"):
        SemanticModel.load(tmp_path)


@pytest.mark.parametrize("name", [ARRAYS, BACKGROUND, DESCRIPTION])
def test_damage_is_told(name, tmp_path):
    model, _ = fitted("en")
    model.save(tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=name):
        SemanticModel.load(tmp_path)


def test_parts_of_another_model_are_refused(tmp_path):
    model, _ = fitted("en")
    model.save(tmp_path)
    description = json.loads((tmp_path / DESCRIPTION).read_text("utf-8"))
    description["vocabulary"] = description["vocabulary"][:-1]
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(ModelError, match="do not fit"):
        SemanticModel.load(tmp_path)


def test_topics_are_labelled_by_their_own_phrases(language):
    model, texts = fitted(language)
    for k, label in enumerate(model.topics.labels):
        mine = " ".join(text for text, d in zip(texts, model.documents, strict=True) if d.topic == k).lower()
        others = " ".join(
            text for text, d in zip(texts, model.documents, strict=True) if d.topic != k
        ).lower()
        for phrase in label.split(" · "):
            assert mine.count(phrase.lower()) > others.count(phrase.lower())


def test_too_few_documents_are_told():
    with pytest.raises(InputError, match="there is 1"):
        find_topics([["甲"], []], None)
    with pytest.raises(InputError, match="there are none"):
        find_topics([[], []], 2)
    with pytest.raises(OptionError, match="at most 2"):
        find_topics([["甲"], ["b", "c"]], 3)
    topics, trials, why = find_topics([["甲"], ["b"]], None)
    assert topics.number == 1 and len(trials) == 1 and "too few" in why


def test_many_documents_are_chosen_on_a_sample(monkeypatch, words):
    monkeypatch.setattr("wenmo.semantics.fitting.CHOICE_DOCUMENTS", 30)
    topics, _, _ = find_topics(words, None)
    assert topics.vocabulary.documents == 60 and topics.number >= 2


def test_excerpts_are_one_line():
    assert excerpt("酒店\n 的  早餐") == "酒店 的 早餐"
    assert excerpt("a" * 300, 10) == "a" * 9 + "…"
