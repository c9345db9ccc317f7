import os
import signal

import pytest
import torch
from talks import conversation, tiny

from wenmo.conversation.finetuning import FineTuningSettings, fine_tune
from wenmo.conversation.starting import Base, chosen_context, open_base
from wenmo.errors import Interrupted, ModelError
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.storage import save_model
from wenmo.training import hardware
from wenmo.training.loop import BatchTrainer

FACTS = {"小梅": "北京", "老王": "上海", "小李": "西安", "Anna": "Paris", "Tom": "London", "Eva": "Rome"}
LEARNED = [
    conversation((("user", f"{name} 住在哪里？"), ("assistant", place))) for name, place in FACTS.items()
] + [
    conversation((("user", f"Where is {name}?"), ("assistant", f"In {place}.")))
    for name, place in FACTS.items()
]


@pytest.fixture
def base(tiny_tokenizers, tmp_path, request):
    family = getattr(request, "param", "transformer")
    model = tiny(family, tiny_tokenizers["bpe"])
    save_model(model, tmp_path / "base", tokenizer=tiny_tokenizers["bpe"])
    return open_base(tmp_path / "base")


def tune(base, directory, train=LEARNED, said=None, **settings):
    directory.mkdir(exist_ok=True)
    return fine_tune(
        train,
        LEARNED[:4],
        base,
        FineTuningSettings(**{"epochs": 4, "batch_tokens": 128, "size": None if base else "60k", **settings}),
        directory=directory,
        seconds=lambda: 30.0,
        say=(said.append if said is not None else lambda sentence: None),
        progress=False,
    )


@pytest.mark.parametrize("base", ["transformer", "lstm", "gru", "rnn"], indirect=True)
def test_answers_are_learned_from_every_family(base, tmp_path):
    tuned = tune(base, tmp_path / "run", epochs=12, lr_scale=1.0)
    curve = tuned.outcome.curve
    assert tuned.outcome.best_bpb < 0.8 * curve[0].valid_bpb or tuned.outcome.best_bpb < 2
    assert tuned.model.architecture == base.model.architecture
    assert tuned.tokenizer.chat_template and tuned.model.vocab_size == base.model.vocab_size + 4
    torch.testing.assert_close(base.model.output_weight, open_base(base.directory).model.output_weight)


@pytest.mark.parametrize("scratch", [False, True])
def test_an_interrupted_training_is_gone_on_with_bitwise(base, tmp_path, monkeypatch, scratch):
    # Number format and threads are chosen by timing; on a busy machine two runs may choose differently.
    monkeypatch.setattr(hardware, "measure_machine", lambda device: hardware.Machine(device, 1e10, 1.0))
    monkeypatch.setattr(hardware, "choose_execution", lambda plan, measure, **limits: (plan, 1e5))
    start = None if scratch else base
    whole = tune(start, tmp_path / "whole")
    original, steps = BatchTrainer._step, []

    def interrupting(self, factor):
        original(self, factor)
        steps.append(factor)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BatchTrainer, "_step", interrupting)
    with pytest.raises(Interrupted, match=r"after 5 steps.*--resume"):
        tune(start, tmp_path / "parts.run")
    resumed = tune(start, tmp_path / "parts.run")
    assert resumed.outcome.steps == whole.outcome.steps > 5
    for (name, ours), theirs in zip(
        resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert resumed.tokenizer.fingerprint == whole.tokenizer.fingerprint


def test_what_was_cut_is_said_and_the_context_grows(base, tmp_path):
    long = [conversation((("user", "word " * 40), ("assistant", f"是 {i}"))) for i in range(12)]
    said = []
    tuned = tune(base, tmp_path / "run", train=long, said=said, epochs=1)
    assert tuned.context == tuned.model.context_length == 256 > base.model.context_length
    assert any("context grows from 64 to 256" in sentence for sentence in said)
    said = []
    tuned = tune(base, tmp_path / "short", train=long, said=said, epochs=1, context=32)
    assert tuned.context == 32 and tuned.encoded.cut == 12
    assert any("12 of 12 conversations are longer than 32" in sentence for sentence in said)


def test_learned_positions_end_where_they_end(tiny_tokenizers, tmp_path):
    model = tiny("transformer", tiny_tokenizers["bpe"], layout="gpt2")
    assert chosen_context([500] * 9, model, None) == 64
    with pytest.raises(ModelError, match="--context 128: this model has 64 positions"):
        chosen_context([5], model, 128)
    tuned = tune(Base(model, tiny_tokenizers["bpe"], tmp_path), tmp_path / "run", epochs=1)
    assert tuned.context == 64


def test_the_neural_member_of_a_mixture_is_taken(tiny_tokenizers, tmp_path):
    tokenizer = tiny_tokenizers["bpe"]
    ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
    ngram.fit(tokenizer.encode("春天 spring " * 20), tokenizer.token_bytes)
    lstm = tiny("lstm", tokenizer)
    save_model(MixtureModel.of({"ngram": ngram, "lstm": lstm}), tmp_path / "mix", tokenizer=tokenizer)
    base = open_base(tmp_path / "mix")
    assert base.model.architecture == "lstm" and "its member lstm is fine-tuned" in base.note
    save_model(ngram, tmp_path / "ngram", tokenizer=tokenizer)
    with pytest.raises(ModelError, match=r"is an n-gram model.*cannot be fine-tuned"):
        open_base(tmp_path / "ngram")
    save_model(lstm, tmp_path / "mute", tokenizer=None)
    with pytest.raises(ModelError, match="no tokenizer"):
        open_base(tmp_path / "mute")


def test_a_fine_tuned_model_can_be_fine_tuned_again(base, tmp_path):
    tuned = tune(base, tmp_path / "run", epochs=1)
    again = tune(Base(tuned.model, tuned.tokenizer, tmp_path), tmp_path / "again", epochs=1)
    assert again.tokenizer.fingerprint == tuned.tokenizer.fingerprint
    assert again.model.vocab_size == tuned.model.vocab_size
