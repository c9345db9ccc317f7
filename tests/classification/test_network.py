import re

import numpy as np
import pytest
import torch

import wenmo.classification.building as building
import wenmo.classification.network_building as network_building
from reviews import reviews
from wenmo.classification.attribution import against
from wenmo.classification.building import Plan, build
from wenmo.classification.classifier import Classifier
from wenmo.classification.encoder import (
    CombinedEncoder,
    ConvolutionalEncoder,
    ConvolutionSettings,
    LanguageModelEncoder,
    neural_member,
    windows,
)
from wenmo.classification.gradients import network_heat
from wenmo.classification.network import Network, batches
from wenmo.classification.network_training import _logistic, train_network
from wenmo.config import ModelSettings, TokenizerSettings
from wenmo.errors import ModelError
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config, build_model
from wenmo.models.saving import save_model
from wenmo.tokenization.training import train_tokenizer

LANGUAGES = ["zh", "en"]
KINDS = ["scratch", "lstm", "gru", "rnn", "transformer", "combined-lstm", "combined-transformer"]


def data(language, count=60, seed=0):
    pairs = reviews(language, count, seed)
    return [text for text, _ in pairs], np.array([int(label == "pos") for _, label in pairs])


def tokenizer_of(texts):
    return train_tokenizer(texts, TokenizerSettings(vocab_size=300), 10_000, progress=False)


def language_model(texts, architecture, context=32):
    tokenizer = tokenizer_of(texts)
    settings = ModelSettings(layers=2, width=32, context=context)
    config = build_config(architecture, vocab_size=tokenizer.vocab_size, settings=settings)
    return build_model(config).eval(), tokenizer


def network(language, kind, longest=60):
    torch.manual_seed(0)
    texts, _ = data(language)
    if kind == "scratch":
        tokenizer = tokenizer_of(texts)
        shape = ConvolutionSettings(vocab_size=tokenizer.vocab_size, embedding=24, channels=16)
        found = Network(ConvolutionalEncoder(shape, longest), tokenizer, 2, longest)
    else:
        model, tokenizer = language_model(texts, kind.removeprefix("combined-"))
        encoder = LanguageModelEncoder(model, longest)
        if kind.startswith("combined"):
            shape = ConvolutionSettings(vocab_size=tokenizer.vocab_size, embedding=32, channels=16)
            encoder = CombinedEncoder(model, longest, shape)
        found = Network(encoder, tokenizer, 2, longest)
    torch.nn.init.normal_(found.head.weight, std=0.1)
    return found.eval()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_and_padding_change_nothing(kind, language):
    found = network(language, kind)
    texts = ["", *data(language, 8, seed=2)[0], " ".join(data(language, 20, seed=3)[0])]
    together = found.scores(texts)
    alone = np.concatenate([found.scores([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_pooled_vectors_are_maximum_mean_and_last(kind):
    found = network("en", kind, longest=20)
    ids = found.encode(["I loved it, friendly staff"])[0][:12]
    pooled = found.encoder([ids])[0]
    parts = windows(ids, found.encoder.window)
    assert len(parts) == 1
    hidden = found.encoder.hidden(torch.from_numpy(parts[0])[None], torch.tensor([len(parts[0])]))[0]
    expected = [hidden.amax(0), hidden.mean(0), hidden[-1]][: found.encoder.pools]
    assert torch.allclose(pooled, torch.cat(expected), atol=1e-6)


def test_windows_of_a_transformer_are_pooled_together():
    found = network("en", "transformer", longest=100)
    ids = found.encode([" ".join(data("en", 12)[0])])[0]
    assert len(ids) == 100 and found.encoder.window == 32
    parts = windows(ids, 32)
    assert np.array_equal(np.concatenate([part[1:] for part in parts]), ids)
    hidden = [found.encoder.hidden(torch.from_numpy(p)[None], torch.tensor([len(p)]))[0] for p in parts]
    joined = torch.cat(hidden)
    expected = torch.cat([joined.amax(0), joined.mean(0), hidden[-1][-1]])
    assert torch.allclose(found.encoder([ids])[0], expected, atol=1e-5)


def test_long_texts_keep_their_beginning_and_end():
    found = network("en", "scratch", longest=8)
    assert found.kept(8).tolist() == list(range(8))
    assert found.kept(100).tolist() == [0, 1, 2, 3, 4, 5, 98, 99]


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_stands_at_one_depth(kind):
    encoder = network("en", kind).encoder
    depths = encoder.depths()
    ids = [id(p) for group in depths for p in group]
    assert len(ids) == len(set(ids)) and set(ids) == {id(p) for p in encoder.parameters()}
    assert id(encoder.embedding().weight) in {id(p) for p in depths[-1]}
    assert len(depths) >= (1 if kind == "scratch" else 3)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["scratch", "combined-gru"])
def test_it_learns_in_a_few_passes(kind, language):
    found = network(language, kind)
    texts, labels = data(language, 200)
    others, truth = data(language, 60, seed=1)
    losses = train_network(
        found, found.encode(texts), labels, found.encode(others), truth, seconds=300, lr=5e-3, passes=20
    )
    assert losses[-1] < 0.5 * losses[0]
    scores = found.scores(others)
    assert (scores.argmax(axis=1) == truth).mean() > 0.85
    # The best of all evaluations is what stays.
    kept = -np.log(np.exp(scores)[np.arange(60), truth] / np.exp(scores).sum(axis=1)).mean()
    assert kept == pytest.approx(min(losses), abs=1e-4)


def test_time_is_kept():
    import time

    found = network("en", "scratch")
    texts, labels = data("en", 200)
    ids = found.encode(texts)
    begun = time.monotonic()
    train_network(found, ids, labels, ids, labels, seconds=1.0, lr=1e-3, passes=1e6)
    assert time.monotonic() - begun < 3


def test_the_last_layer_is_the_minimum():
    x = torch.randn(200, 6)
    labels = (x[:, 0] + 0.5 * torch.randn(200) > 0).long().numpy()
    weight, bias = _logistic(x, labels, 2, 0.1)
    weight, bias = weight.requires_grad_(), bias.requires_grad_()
    loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, torch.from_numpy(labels))
    (loss + weight.square().sum() / (2 * 0.1 * 200)).backward()
    assert weight.grad.abs().max() < 1e-3 and bias.grad.abs().max() < 1e-3


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_times_input_is_that_of_finite_differences(kind, language):
    found = network(language, kind)
    text = data(language, 4, seed=5)[0][0]
    lead = against(1, 2)
    heat = network_heat(found, text, lead)
    assert heat.shape == (len(text),)
    # Scaling every embedded token of the text by (1 + e) changes the score by e times the sum of all contributions,
    # and of the token that begins the text.
    embedding, e, scores = found.encoder.embedding(), 1e-3, []
    for factor in (1 - e, 1 + e):

        def scaled(module, inputs, output, factor=factor):
            share = torch.full(inputs[0].shape, factor)
            share[inputs[0] == 0] = 1.0
            return output * share[..., None]

        hook = embedding.register_forward_hook(scaled)
        scores.append(found.scores([text])[0] @ lead)
        hook.remove()
    assert heat.sum() == pytest.approx((scores[1] - scores[0]) / (2 * e), rel=0.02, abs=2e-3)


@pytest.mark.parametrize("kind", ["scratch", "lstm", "transformer", "combined-gru"])
def test_saved_and_loaded_it_scores_the_same(kind, tmp_path):
    found = network("zh", kind)
    texts = ["", *data("zh", 5)[0]]
    exact = found.scores(texts)
    assert np.abs(found.rounded().scores(texts) - exact).max() < 0.01
    found.save(tmp_path / "n")
    assert np.array_equal(Network.load(tmp_path / "n").scores(texts), found.scores(texts))
    (tmp_path / "n" / "network.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="damaged"):
        Network.load(tmp_path / "n")


def test_batches_hold_every_text_once():
    ids = [np.zeros(n, int) for n in (5, 1, 900, 3, 3, 0)]
    found = list(batches(ids, 100))
    assert sorted(np.concatenate(found)) == list(range(6))
    assert all(len(rows) == 1 or max(len(ids[r]) + 1 for r in rows) * len(rows) <= 100 for rows in found)


@pytest.mark.parametrize(("language", "count"), [("zh", 60), ("en", 60)])
def test_a_language_model_is_built_on(language, count, tmp_path):
    texts, labels = data(language, count)
    model, tokenizer = language_model(texts, "gru")
    save_model(model, tmp_path / "lm", tokenizer=tokenizer)
    said = []
    classifier, evidence = build(
        texts, labels, ["neg", "pos"], Plan(kind="network", base=tmp_path / "lm"), seconds=20, say=said.append
    )
    assert any("last layer alone" in sentence for sentence in said)
    assert (evidence.log_probs.argmax(axis=1) == labels).mean() > 0.7
    classifier.save(tmp_path)
    loaded = Classifier.load(tmp_path)
    assert np.allclose(loaded.log_probs(texts[:4]), classifier.log_probs(texts[:4]))
    assert classifier.linear is None and not np.allclose(
        classifier.log_probs(["好"]), classifier.log_probs(["bad"])
    )


def test_a_network_alone_from_few_examples():
    texts, labels = data("en", 40)
    classifier, evidence = build(texts, labels, ["neg", "pos"], Plan(kind="network"), seconds=6)
    assert classifier.network is not None and evidence.log_probs.shape == (40, 2)


def test_an_ngram_language_model_is_refused(tmp_path):
    texts, labels = data("en", 20)
    tokenizer = tokenizer_of(texts)
    model = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
    assert neural_member(model) is None
    save_model(model, tmp_path / "lm", tokenizer=tokenizer)
    with pytest.raises(ModelError, match="no hidden states"):
        build(texts, labels, ["neg", "pos"], Plan(base=tmp_path / "lm"))


def test_with_many_labels_a_language_model_must_beat_a_network_from_scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "FROM_SCRATCH_FROM", 50)
    monkeypatch.setattr(network_building, "LEAST_TO_TUNE", 50)
    texts, labels = data("en", 100)
    held, truth = data("en", 60, seed=1)
    model, tokenizer = language_model(texts, "gru")
    save_model(model, tmp_path / "lm", tokenizer=tokenizer)
    said = []
    classifier, _ = build(
        texts,
        labels,
        ["neg", "pos"],
        Plan(kind="network", base=tmp_path / "lm"),
        held_texts=held,
        held_labels=truth,
        seconds=12,
        say=said.append,
    )
    sentence = next(s for s in said if "network on the language model" in s)
    based, alone = (float(n) for n in re.findall(r"\d\.\d+", sentence))
    kept = type(classifier.network.encoder).__name__
    assert kept == ("CombinedEncoder" if based <= alone else "ConvolutionalEncoder")
