import math

import numpy as np
import pytest
import torch

import wenmo
from wenmo.api import Model, load
from wenmo.config import GenerationSettings, ModelSettings, TokenizerSettings
from wenmo.errors import InputError, ModelError, OptionError
from wenmo.models.likelihood import score_stream
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config, build_model
from wenmo.models.storage import save_model
from wenmo.tokenization.training import train_tokenizer

TEXTS = [
    "春眠不觉晓，处处闻啼鸟。",
    "The quick brown fox jumps over the lazy dog.",
    "夜来风雨声，花落知多少。",
] * 4


@pytest.fixture(scope="module")
def tokenizer():
    total = sum(len(text.encode()) for text in TEXTS)
    return train_tokenizer(TEXTS, TokenizerSettings(kind="bpe", vocab_size=300), total, progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    """Saved models: one of each neural family."""
    base = tmp_path_factory.mktemp("models")
    for architecture in ("transformer", "lstm", "gru", "rnn"):
        torch.manual_seed(len(architecture))
        shape = ModelSettings(layers=2, width=32, context=24)
        model = build_model(build_config(architecture, vocab_size=tokenizer.vocab_size, settings=shape))
        generation = GenerationSettings(max_tokens=12, temperature=0.9, seed=5)
        save_model(
            model,
            base / architecture,
            tokenizer=tokenizer,
            info={"kind": architecture},
            generation=generation,
        )
    ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size, context_length=24))
    ngram.fit(np.concatenate([[*tokenizer.encode(text), 0] for text in TEXTS]), tokenizer.token_bytes)
    save_model(
        ngram, base / "ngram", tokenizer=tokenizer, generation=GenerationSettings(max_tokens=12, seed=5)
    )
    return base


@pytest.fixture(scope="module", params=["transformer", "lstm", "gru", "rnn", "ngram", "mixture"])
def model(request, folder):
    if request.param == "mixture":
        return load([folder / "transformer", folder / "ngram"], weights=[3, 1])
    return load(folder / request.param)


@pytest.mark.parametrize("prompt", ["", "春眠", "The quick", "从未见过🐲ℵ", "长" * 100])
def test_the_stream_is_the_completion(model, prompt):
    options = {"seed": 0, "max_tokens": 40, "ignore_eos": True}
    found = model.generate(prompt, **options)
    assert len(found) == 1 and len(found[0].tokens) == 40
    assert "".join(model.stream(prompt, **options)) == found[0].text
    assert model.generate(prompt, **options) == found


def test_the_models_own_settings_are_the_defaults(model):
    found = model.generate("春", ignore_eos=True)
    assert len(found[0].tokens) == 12
    assert found == model.generate("春", ignore_eos=True, seed=5)
    assert found != model.generate("春", ignore_eos=True, seed=6)


def test_several_samples_and_beams_are_lists(model):
    assert len(model.generate("花", n=3)) == 3
    best = model.generate("花", beams=3, n=2, max_tokens=5)
    scores = [sum(c.logprobs) / len(c.tokens) for c in best]
    assert scores == sorted(scores, reverse=True) and len(best) == 2


@pytest.mark.parametrize("options", [{"n": 2}, {"beams": 2}, {"temprature": 1}])
def test_options_that_do_not_fit_are_refused_before_the_first_piece(model, options):
    with pytest.raises(OptionError):
        model.stream("x", **options)


def test_the_score_is_that_of_the_protocol(model):
    text = "春眠不觉晓，quick fox" * 5
    found = model.score(text)
    ids = [*model.tokenizer.encode(text), 0]
    nats = score_stream(model.model, np.array(ids), eos_id=0)
    assert [t.token for t in found.tokens] == ids
    assert b"".join(t.data for t in found.tokens).decode() == text
    np.testing.assert_allclose([t.logprob for t in found.tokens], -nats, rtol=1e-6)
    assert found.bits_per_byte == pytest.approx(nats.sum() / math.log(2) / len(text.encode()))
    assert found.perplexity == pytest.approx(math.exp(nats.mean()))


def test_a_written_texts_log_probabilities_are_its_score(folder):
    model = load(folder / "transformer")
    found = model.generate("", max_tokens=20, ignore_eos=True, seed=1, precision="fp32")[0]
    nats = score_stream(model.model, np.array(found.tokens), eos_id=0)
    np.testing.assert_allclose(found.logprobs, -nats, atol=1e-4)


def test_an_empty_text_has_no_score(model):
    with pytest.raises(InputError):
        model.score("")


def test_embeddings_are_means_of_hidden_states(folder):
    model = load(folder / "transformer")
    vectors = model.embed(["春眠不觉晓", "fox", ""])
    assert vectors.shape == (3, 32) and vectors.dtype == np.float32
    np.testing.assert_allclose(model.embed("fox"), vectors[1:2], atol=1e-6)
    ids = torch.from_numpy(np.append(0, model.tokenizer.encode("春眠不觉晓")))[None]
    with torch.inference_mode():
        hidden, _ = model.model.hidden(ids)
    np.testing.assert_allclose(vectors[0], hidden[0, 1:].mean(0).numpy(), atol=1e-5)
    assert np.isfinite(model.embed("long text " * 50)).all()
    assert model.embed([]).shape == (0, 32)


def test_a_mixture_embeds_with_its_first_neural_member(folder):
    mixed = load(folder / "lstm", folder / "gru")
    np.testing.assert_array_equal(mixed.embed("花落"), load(folder / "lstm").embed("花落"))


def test_a_mixture_averages_probabilities(folder):
    one, two = load(folder / "lstm"), load(folder / "gru")
    mixed = load(folder / "lstm", folder / "gru", weights=[0.75, 0.25])
    assert mixed.info["members"]["gru"] == {"kind": "gru"}
    ids = np.array([5, 9, 20, 0])
    nats = [score_stream(m.model, ids, eos_id=0) for m in (one, two, mixed)]
    np.testing.assert_allclose(np.exp(-nats[2]), 0.75 * np.exp(-nats[0]) + 0.25 * np.exp(-nats[1]), rtol=1e-4)
    single = load(folder / "lstm", folder / "gru", weights=[1, 0])
    np.testing.assert_allclose(score_stream(single.model, ids, eos_id=0), nats[0], rtol=1e-5)


def test_a_model_mixes_with_itself(folder):
    assert list(load([folder / "lstm"] * 3).info["members"]) == ["lstm", "lstm-2", "lstm-3"]


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, math.nan]])
def test_weights_that_do_not_fit_are_refused(folder, weights):
    with pytest.raises(OptionError, match="weights"):
        load(folder / "lstm", folder / "gru", weights=weights)


def test_models_with_different_tokenizers_are_not_mixed(folder, tmp_path):
    other = train_tokenizer(TEXTS, TokenizerSettings(kind="byte"), 1000, progress=False)
    shape = ModelSettings(layers=1, width=16, context=16)
    save_model(
        build_model(build_config("gru", vocab_size=other.vocab_size, settings=shape)),
        tmp_path / "other",
        tokenizer=other,
    )
    with pytest.raises(ModelError, match="tokenizers"):
        load(folder / "lstm", tmp_path / "other")


def test_a_model_without_tokenizer_or_folder_is_refused(tmp_path, folder):
    shape = ModelSettings(layers=1, width=16, context=16)
    save_model(
        build_model(build_config("gru", vocab_size=300, settings=shape)), tmp_path / "bare", tokenizer=None
    )
    with pytest.raises(ModelError, match="tokenizer"):
        load(tmp_path / "bare")
    with pytest.raises(ModelError):
        load(tmp_path / "nothing")
    with pytest.raises(OptionError):
        load()
    with pytest.raises(OptionError, match="device"):
        load(folder / "lstm", device="tpu")


def test_an_ngram_model_alone_has_no_embedding(folder):
    with pytest.raises(ModelError, match="ngram"):
        load(folder / "ngram").embed("x")


def test_an_ngram_model_writes_what_it_read(folder):
    # The prompt ends where a token does in the training text: in this small vocabulary some reach across characters.
    found = load(folder / "ngram").generate("春眠不觉晓，", temperature=0, max_tokens=60)[0]
    assert found.text == "处处闻啼鸟。" and found.finish_reason == "stop"


def test_the_package_offers_load():
    assert wenmo.load is load and wenmo.Model is Model
