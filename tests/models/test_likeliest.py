import numpy as np
import pytest
import torch

from wenmo.models.ngram import NgramConfig, NgramModel


@pytest.fixture(scope="module", params=["en", "zh"])
def counted(request, tiny_tokenizers, english_documents, chinese_documents):
    tokenizer = tiny_tokenizers["bpe"]
    documents = english_documents if request.param == "en" else chinese_documents
    ids = np.concatenate([np.append(tokenizer.encode(text), 0) for text in documents]).astype(np.int64)
    model = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
    model.fit(ids[:-300], tokenizer.token_bytes)
    return model, ids[-300:]


def foretold(model, ids, places, share=1.0):
    copy = model.adaptive_copy()
    top, probabilities = np.zeros((len(ids), places), np.int32), np.zeros((len(ids), places), np.float32)
    nats, known = copy.foretell(ids, top, probabilities, share=share, before=np.zeros(1, np.int64))
    return copy, top, probabilities, nats, known


def test_it_scores_and_learns_as_scanning_does(counted):
    model, ids = counted
    copy, _, _, nats, known = foretold(model, ids, 8)
    expected, contexts = model.scan(ids, True)
    assert np.array_equal(nats, expected) and np.array_equal(known, contexts)
    other = model.adaptive_copy()
    other.learn(ids)
    assert np.array_equal(copy.scan(ids, False)[0], other.scan(ids, False)[0])


def test_the_first_tokens_are_the_likeliest_of_all(counted):
    model, ids = counted
    _, top, probabilities, _, _ = foretold(model, ids[:1], model.vocab_size)
    logits, _ = model(torch.zeros(1, 1, dtype=torch.int64))
    expected = logits[0, 0].exp().numpy()
    np.testing.assert_allclose(probabilities[0], np.sort(expected)[::-1], rtol=1e-5)
    np.testing.assert_allclose(probabilities[0], expected[top[0]], rtol=1e-5)
    assert sorted(top[0].tolist()) == list(range(model.vocab_size))
    frozen, _ = model.scan(ids[:1], False)
    assert probabilities[0][top[0] == ids[0]] == pytest.approx(np.exp(-frozen[0]), rel=1e-5)


def test_a_short_list_is_the_beginning_of_a_long_one(counted):
    model, ids = counted
    _, long, long_probabilities, _, _ = foretold(model, ids, 50)
    _, short, short_probabilities, _, _ = foretold(model, ids, 10)
    assert np.array_equal(short_probabilities, long_probabilities[:, :10])
    distinct = np.diff(long_probabilities[:, :11], axis=1).min(1) < 0  # equal ones may change places
    assert np.array_equal(short[distinct][:, 0], long[distinct][:, 0])


def test_it_stops_when_enough_is_named(counted):
    model, ids = counted
    _, _, probabilities, _, _ = foretold(model, ids, 50, share=0.8)
    named = (probabilities > 0).sum(1)
    enough = probabilities.sum(1) >= 0.8
    assert np.all(enough | (named == 50)) and named.min() < 50
    last = np.take_along_axis(probabilities, named[:, None] - 1, 1)[:, 0]
    assert np.all((probabilities.sum(1) - last)[enough] < 0.8)


def test_what_stands_before_is_read_and_not_learned(counted):
    model, ids = counted
    top, probabilities = np.zeros((20, 4), np.int32), np.zeros((20, 4), np.float32)
    copy = model.adaptive_copy()
    nats, _ = copy.foretell(ids[100:120], top, probabilities, before=np.append(0, ids[:100]))
    assert copy.tokens_seen == model.tokens_seen + 20
    # While it learns, a token's first decisions change its last ones a little.
    np.testing.assert_allclose(nats[0], model.scan(ids[:101], False)[0][100], rtol=0.05)
    frozen = model.scan(ids[:101], False)[0][100]
    named = probabilities[0][top[0] == ids[100]]
    assert len(named) == 0 or named[0] == pytest.approx(np.exp(-frozen), rel=1e-5)


def test_the_only_token_of_a_vocabulary_is_certain():
    model = NgramModel(NgramConfig(vocab_size=1))
    ids = np.zeros(5, np.int64)
    model.fit(ids, [b"a"])
    _, top, probabilities, nats, _ = foretold(model, ids, 3)
    assert (top[:, 0] == 0).all() and (nats == 0).all()
    assert probabilities.tolist() == [[1.0, 0.0, 0.0]] * 5


def test_what_stands_before_must_be_tokens(counted):
    model, ids = counted
    top, probabilities = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match="outside"):
        model.foretell(ids[:1], top, probabilities, before=np.array([model.vocab_size]))
