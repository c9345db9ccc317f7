import numpy as np
import pytest
import torch

from wenmo.config import ModelSettings
from wenmo.distillation.targets import Targets
from wenmo.distillation.teacher import Teacher, write_block
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config, build_model


@pytest.fixture(scope="module")
def stream(tiny_tokenizers, mixed_documents):
    tokenizer = tiny_tokenizers["bpe"]
    ids = np.concatenate([np.append(tokenizer.encode(text), 0) for text in mixed_documents]).astype(np.int64)
    return tokenizer, ids


def network(architecture, vocab_size, seed=0):
    torch.manual_seed(seed)
    settings = ModelSettings(layers=1, width=16, context=16)
    return build_model(build_config(architecture, vocab_size=vocab_size, settings=settings)).eval()


def counted_model(stream):
    tokenizer, ids = stream
    model = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
    model.fit(ids[:4000], tokenizer.token_bytes)
    return model


def whole(vocab_size, length):
    """Targets with room for every token."""
    return Targets(np.zeros((length, vocab_size), np.uint32), np.zeros((length, vocab_size), np.float16))


def dense(targets, vocab_size):
    top, probabilities = targets.of(np.arange(len(targets)))
    joint = np.zeros((len(targets), vocab_size))
    np.add.at(joint, (np.arange(len(targets))[:, None], top), probabilities)
    return joint


def test_neural_members_are_mixed_by_weights_fitted_on_held_out_text(stream):
    tokenizer, ids = stream
    members = {
        name: network(name, tokenizer.vocab_size, seed) for seed, name in enumerate(("transformer", "gru"))
    }
    teacher = Teacher.of(MixtureModel.of(members), ids[5000:5500], 0)
    assert teacher.ngram is None and teacher.weights.shape == (1, 2)
    text, found = ids[:9], whole(tokenizer.vocab_size, 9)
    write_block(teacher, text, 0, 9, 0, None, None, found)
    inputs = torch.from_numpy(np.append(0, text[:-1]))[None]
    expected = sum(
        float(weight) * model(inputs)[0][0].softmax(-1).detach()
        for weight, model in zip(teacher.weights[0], members.values(), strict=True)
    )
    np.testing.assert_allclose(dense(found, tokenizer.vocab_size), expected.numpy(), rtol=2e-3, atol=1e-6)


def test_a_place_is_read_with_what_stands_before_it(stream):
    tokenizer, ids = stream
    model = network("gru", tokenizer.vocab_size)
    teacher = Teacher({"gru": model}, None, np.ones((1, 1)))
    text = ids[:60]
    found = whole(tokenizer.vocab_size, 60)
    write_block(teacher, text, 0, 30, 0, None, None, found)
    write_block(teacher, text, 30, 60, 0, None, None, found)
    joint = dense(found, tokenizer.vocab_size)
    nats = -np.log(joint[np.arange(60), text])
    expected = torch.nn.functional.cross_entropy(
        model(torch.from_numpy(text[21:30])[None])[0][0].detach(),
        torch.from_numpy(text[22:31]),
        reduction="none",
    )
    # Place 30 is predicted from the half context before the block, places 22 to 29, and not from nothing.
    assert nats[30] == pytest.approx(float(expected[-1]), rel=0.02)
    assert np.isfinite(nats).all()


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_counts_are_mixed_in_by_the_context_they_know(architecture, stream):
    tokenizer, ids = stream
    vocab = tokenizer.vocab_size
    model, ngram = network(architecture, vocab), counted_model(stream)
    teacher = Teacher.of(MixtureModel.of({"net": model, "ngram": ngram}), ids[5000:5500], 0)
    assert teacher.weights.shape == (ngram.num_contexts + 1, 2)
    text = ids[6000:6012]
    counted, known = whole(vocab, 12), np.zeros(12, np.uint8)
    top, probabilities = np.zeros((12, vocab), np.int32), np.zeros((12, vocab), np.float32)
    _, known[:] = ngram.adaptive_copy().foretell(text, top, probabilities, before=np.zeros(1, np.int64))
    counted.write(0, top, probabilities)
    found = whole(vocab, 12)
    write_block(teacher, text, 0, 12, 0, counted, known, found)
    inputs = torch.from_numpy(np.append(0, text[:-1]))[None]
    network_says = model(inputs)[0][0].softmax(-1).detach().numpy()
    weights = teacher.weights[known]
    expected = weights[:, :1] * network_says + weights[:, 1:] * dense(counted, vocab)
    # What float16 rounds away goes to the few tokens that it has no number for.
    named = dense(counted, vocab) > 0
    assert named.mean() > 0.9
    np.testing.assert_allclose(dense(found, vocab)[named], expected[named], rtol=5e-3, atol=1e-5)


def test_what_the_counts_leave_open_follows_the_other_members(stream):
    tokenizer, ids = stream
    vocab = tokenizer.vocab_size
    model = network("gru", vocab)
    teacher = Teacher({"gru": model}, counted_model(stream), np.array([[0.25, 0.75]] * 20))
    counted = Targets(np.array([[7, 9]] * 5, np.uint32), np.array([[0.5, 0.0]] * 5, np.float16))
    found = whole(vocab, 5)
    write_block(teacher, ids[:5], 0, 5, 0, counted, np.zeros(5, np.uint8), found)
    joint = dense(found, vocab)
    np.testing.assert_allclose(joint.sum(1), 1.0, atol=2e-3)
    inputs = torch.from_numpy(np.append(0, ids[:4]))[None]
    says = model(inputs)[0][0].softmax(-1).detach().numpy()
    np.testing.assert_allclose(joint[:, 7], 0.25 * says[:, 7] + 0.75 * 0.5, rtol=2e-3)
    rest = np.delete(np.arange(vocab), 7)
    expected = says[:, rest] * (0.25 + 0.75 * 0.5 / says[:, rest].sum(1, keepdims=True))
    np.testing.assert_allclose(joint[:, rest], expected, rtol=3e-3, atol=1e-6)


def test_the_ngram_model_is_weighed_as_it_will_be_asked(stream):
    """Frozen it knows nothing of repeated new text; learning on it knows it all, and gets the weight."""
    tokenizer, ids = stream
    ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
    ngram.fit(ids[:200], tokenizer.token_bytes)
    repeated = np.tile(ids[5000:5100], 12)
    teacher = Teacher.of(
        MixtureModel.of({"net": network("gru", tokenizer.vocab_size), "ngram": ngram}), repeated, 0
    )
    assert teacher.mean_weights(ngram.scan(repeated, True)[1])["ngram"] > 0.9


def test_mixtures_inside_a_mixture_are_taken_apart(stream):
    """An n-gram model inside is found, so that it is not asked about text it has counted; a second one is left out."""
    tokenizer, ids = stream
    ngram, other = counted_model(stream), counted_model(stream)
    first = MixtureModel.of({"net": network("gru", tokenizer.vocab_size), "ngram": ngram})
    second = MixtureModel.of({"net": network("rnn", tokenizer.vocab_size), "counts": other})
    teacher = Teacher.of(MixtureModel.of({"a": first, "b": second}), ids[5000:5300], 0)
    assert list(teacher.readers) == ["a/net", "b/net"] and teacher.ngram is ngram
    assert teacher.left_out == ("b/counts",) and teacher.weights.shape[1] == 3
    assert list(teacher.mean_weights(np.zeros(3, np.int64))) == ["a/net", "b/net", "a/ngram"]


@pytest.mark.parametrize("architecture", ["ngram", "gru"])
def test_a_single_model_teaches_alone(architecture, stream):
    tokenizer, ids = stream
    model = counted_model(stream) if architecture == "ngram" else network("gru", tokenizer.vocab_size)
    teacher = Teacher.of(model, ids[5000:5300], 0)
    assert teacher.mean_weights(np.zeros(3, np.int64)) == {architecture: pytest.approx(1.0)}
    assert not teacher.left_out
