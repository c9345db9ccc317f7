"""A translator from pairs to a folder and back, with a language model to begin with, and what it looks at."""

import json
import os
import signal

import numpy as np
import pytest
import torch

from wenmo.config import ModelSettings, TokenizerSettings
from wenmo.errors import ModelError, OptionError
from wenmo.models.registry import build_config
from wenmo.models.registry import build_model as build_language_model
from wenmo.models.storage import save_model
from wenmo.seq2seq.alignment import _words_of, align, alignment_page, pairs_page
from wenmo.seq2seq.codec import PairCodec, train_codec
from wenmo.seq2seq.fitting import FitSettings, fit_translator
from wenmo.seq2seq.initialising import base_shape, begin_with, open_base
from wenmo.seq2seq.pairs import Pair
from wenmo.seq2seq.registry import build_model, parse_config
from wenmo.seq2seq.translator import Translator
from wenmo.tokenization.training import train_tokenizer

NOUNS = {"cat": "猫", "dog": "狗", "bird": "鸟", "fish": "鱼", "horse": "马", "cow": "牛"}
VERBS = {"sees": "看见", "likes": "喜欢", "hears": "听见"}
PAIRS = [
    Pair(f"The {a} {v} the {b}.", f"{NOUNS[a]}{VERBS[v]}{NOUNS[b]}。", "")
    for a in NOUNS
    for v in VERBS
    for b in NOUNS
    if a != b
]
SMALL = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "width": 32,
    "heads": 2,
    "kv_heads": 2,
    "head_size": 16,
    "ffn": 32,
}


def fit(steps=25, directory=None, resume=False, say=lambda text: None, languages=("en", "zh"), **settings):
    chosen = {
        "fields": SMALL,
        "vocab_size": 360,
        "batch_tokens": 128,
        "beams": 2,
        "evaluations": 4,
        **settings,
    }
    return fit_translator(
        PAIRS[::2],
        PAIRS[1::8],
        languages,
        FitSettings(steps=steps, **chosen),
        seconds=60,
        directory=directory,
        resume=resume,
        progress=False,
        say=say,
    )


@pytest.fixture(scope="module")
def both():
    return fit(
        steps=220, direction="both", batch_tokens=256, lr=1e-2, fields={**SMALL, "dropout": 0.0}
    ).translator


def test_one_model_translates_both_ways(both):
    texts = [p.source for p in PAIRS[:40]]
    found = [one.text for one in both.translate(texts)]
    right = sum(a == p.target for a, p in zip(found, PAIRS, strict=False))
    assert right >= 20, found
    back = [one.text for one in both.translate([p.target for p in PAIRS[:40]], backward=True)]
    assert sum(a == p.source for a, p in zip(back, PAIRS, strict=False)) >= 20, back
    with pytest.raises(OptionError, match="both ways; say into which of zh, en"):
        both.backward(None)
    assert both.backward("en") and not both.backward("zh")
    assert both.backward(None, ["三个新文件。", "ok"]) and not both.backward(None, ["3 new files", "新"])
    with pytest.raises(OptionError, match="not into 'fr'"):
        both.backward("fr")


def test_half_a_character_is_left_out(both):
    names = both.codec.tokenizer.token_bytes
    half = next(number for number, data in enumerate(names) if data == "猫".encode()[:1])
    whole = both.codec.tokenizer.encode("新").tolist()
    assert both.codec.decode([half, *whole, half]) == "新"


def test_texts_without_words_stay_and_order_is_kept(both):
    texts = ["", "12 + 3!", PAIRS[0].source, "***", PAIRS[20].source]
    found = both.translate(texts)
    assert [found[i].text for i in (0, 1, 3)] == ["", "12 + 3!", "***"]
    assert found[2].text == both.translate([PAIRS[0].source])[0].text
    assert 0 < found[4].confidence <= 1


def test_a_saved_translator_is_the_same(both, tmp_path):
    both.save(tmp_path)
    loaded = Translator.load(tmp_path)
    texts = [p.source for p in PAIRS[:9]]
    assert loaded.translate(texts) == both.translate(texts)
    assert (loaded.ratio, loaded.longest, loaded.codec.languages) == (both.ratio, both.longest, ("en", "zh"))
    facts = json.loads((tmp_path / "translator.json").read_text("utf-8"))
    (tmp_path / "translator.json").write_text(json.dumps({**facts, "languages": None}), "utf-8")
    with pytest.raises(ModelError, match="'languages' is missing"):
        Translator.load(tmp_path)


def test_words_are_aligned(both):
    text = PAIRS[4].source
    tokens = both.translate([text])[0].tokens
    found = align(both, text, tokens)
    assert found.source == [*text.rstrip(".").split(), "."]
    np.testing.assert_allclose(found.weights.sum(1), 1.0, atol=1e-5)
    assert len(found.links) == len(found.target) and "".join(found.target) == both.codec.decode(tokens)
    page = pairs_page(both, [(text, both.codec.decode(tokens)), ("", "x")], False)
    assert page.count("<table>") == 1 and "http" not in page and 'lang="zh"' in page
    assert "&lt;b&gt;" in alignment_page("<b>", [found])


def test_tokens_that_are_parts_of_characters_belong_to_their_word():
    data = "你好吗".encode()
    words, shares = _words_of([data[:2], data[2:6], data[6:]])
    assert "".join(words) == "你好吗" and shares.shape == (len(words), 3)
    np.testing.assert_allclose(shares.sum(0), 1.0)
    assert _words_of([])[0] == []


def test_recurrent_models_translate_and_without_attention_nothing_is_aligned():
    for arch, attention in (("gru", "none"), ("lstm", "general")):
        fields = {"layers": 1, "hidden_size": 32, "embedding_size": 16, "attention": attention}
        translator = fit(architecture=arch, fields=fields).translator
        tokens = translator.translate([PAIRS[0].source])[0].tokens
        assert (align(translator, PAIRS[0].source, tokens) is None) == (attention == "none")


def test_an_interrupted_fit_goes_on_as_it_was(tmp_path, monkeypatch):
    from wenmo.seq2seq import training

    whole = fit(steps=24).outcome
    step = training.PairTrainer._step

    def interrupting(self, factor):
        step(self, factor)
        if self._now.step == 9:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training.PairTrainer, "_step", interrupting)
    assert fit(steps=24, directory=tmp_path).outcome.stopped == "interrupted"
    monkeypatch.setattr(training.PairTrainer, "_step", step)
    said = []
    resumed = fit(steps=24, directory=tmp_path, resume=True, say=said.append).outcome
    assert "goes on" in said[0] and resumed.steps == 24
    assert resumed.curve[-1].valid_loss == whole.curve[-1].valid_loss


def language_model(folder, architecture, **shape):
    tokenizer = train_tokenizer(
        [p.source + p.target for p in PAIRS], TokenizerSettings(vocab_size=330), 10_000, progress=False
    )
    settings = ModelSettings(layers=2, width=32, **shape)
    torch.manual_seed(1)
    model = build_language_model(
        build_config(architecture, vocab_size=tokenizer.vocab_size, settings=settings, parameters=None)
    )
    save_model(model, folder, tokenizer=tokenizer)
    return model


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_a_language_model_is_begun_with(tmp_path, architecture):
    model = language_model(
        tmp_path / "base", architecture, **({"heads": 2} if architecture == "transformer" else {})
    )
    base, tokenizer = open_base(tmp_path / "base", "auto")
    config = parse_config(
        {
            **base_shape(base),
            "architecture": architecture,
            "vocab_size": tokenizer.vocab_size + 2,
            "dropout": 0.0,
        }
    )
    pair_model = build_model(config)
    share = begin_with(pair_model, base)
    assert 0.25 < share < 1
    torch.testing.assert_close(pair_model.embedding.weight[: tokenizer.vocab_size], model.embedding.weight)
    if architecture == "transformer":
        torch.testing.assert_close(
            pair_model.decoder[1].attention.qkv.weight, model.blocks[1].attention.qkv.weight
        )
        torch.testing.assert_close(pair_model.encoder[0].ffn.up.weight, model.blocks[0].ffn.up.weight)
        # Without attention to the source the decoder is the language model.
        with torch.no_grad():
            for layer in pair_model.decoder:
                layer.cross.out.weight.zero_()
            ids = torch.tensor([[0, 5, 9, 300, 7]])
            state = pair_model.start(pair_model.encode(torch.tensor([[4, 0]]), torch.tensor([2])))
            mine = pair_model.logits(pair_model.eval().decode(ids, state)[0])[..., : tokenizer.vocab_size]
            theirs = model.eval()(ids)[0]
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    else:
        torch.testing.assert_close(pair_model.decoder[1].weight_hh, model.layers[1].weight_hh)
    fitted = fit(base=tmp_path / "base", fields={}, vocab_size=None, steps=4, direction="both")
    assert fitted.translator.codec.tokenizer.fingerprint == tokenizer.fingerprint


def test_language_models_that_do_not_fit_are_refused(tmp_path):
    language_model(tmp_path / "base", "transformer", heads=2, layout="gpt2")
    with pytest.raises(OptionError, match=r"gpt2 do not fit.*--model.layout"):
        open_base(tmp_path / "base", "auto")
    with pytest.raises(OptionError, match="it holds transformer, and translation can begin with gru"):
        open_base(tmp_path / "base", "gru")


def test_the_codec_gives_back_what_it_takes():
    codec = train_codec(
        [p.source for p in PAIRS], [p.target for p in PAIRS], ("en", "zh"), "both", vocab_size=300
    )
    assert codec.vocab_size == codec.tokenizer.vocab_size + 2 and codec.backwards == (False, True)
    for text in ("The cat sees.", "猫看见鱼。", "naïve 🐟"):
        assert codec.decode(codec.encode([text])[0]) == text
    pairs = codec.pairs(["The cat"], ["猫"])
    assert len(pairs) == 2 and pairs.sources[0][0] != pairs.sources[1][0] and pairs.sources[0][-1] == 0
    assert codec.banned == (pairs.sources[0][0], pairs.sources[1][0])
    assert PairCodec(codec.tokenizer, ("en", "zh"), "backward").pairs(["The cat"], ["猫"]).targets[
        0
    ].tolist() == (codec.encode(["The cat"])[0].tolist())
