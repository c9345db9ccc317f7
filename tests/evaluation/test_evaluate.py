import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from wenmo.config import GenerationSettings, TokenizerSettings
from wenmo.errors import InputError, ModelError
from wenmo.evaluation import baselines
from wenmo.evaluation.evaluate import _limited, _tail, evaluate, training_texts
from wenmo.models.base import LanguageModel, ModelConfig, State
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.storage import LoadedModel
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer

TRAIN = [
    "The boats could not leave the harbour.\n雨后江水很高，船都不能离开港口。\n" * 20,
    "有人说：“好。”\n" * 9,
]
HELD = ["雨后，船不能离开港口。The boats could leave.\n", "好。"]


class Nothing(State):
    def __init__(self, lengths: Tensor) -> None:
        self.lengths = lengths

    def select(self, rows: Tensor) -> State:
        return Nothing(self.lengths[rows])

    def truncate(self, lengths: Tensor) -> State:
        return Nothing(lengths)


class Uniform(LanguageModel):
    """Gives every token the same probability, so that every score is known exactly."""

    architecture = "uniform"

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.config = ModelConfig(vocab_size=vocab_size, context_length=8)
        self.register_buffer("place", torch.zeros(1))

    def initial_state(self, batch: int) -> State:
        return Nothing(torch.zeros(batch, dtype=torch.int64))

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        return torch.zeros(*ids.shape, self.vocab_size), state or self.initial_state(len(ids))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TRAIN, TokenizerSettings(kind="char"), 2000, progress=False)


def loaded(model: LanguageModel, tokenizer: Tokenizer | None, info: dict | None = None) -> LoadedModel:
    return LoadedModel(model, tokenizer, info or {}, GenerationSettings(), Path("somewhere"))


def ngram(tokenizer: Tokenizer) -> NgramModel:
    model = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
    ids = [i for text in TRAIN for i in (*tokenizer.encode(text), tokenizer.eos_id)]
    model.fit(np.array(ids), tokenizer.token_bytes)
    return model


def test_uniform_model_scores_what_it_must(tokenizer: Tokenizer) -> None:
    result = evaluate(
        loaded(Uniform(tokenizer.vocab_size), tokenizer), HELD, with_baselines=False, progress=False
    )
    tokens = sum(len(tokenizer.encode(text)) + 1 for text in HELD)
    num_bytes = sum(len(text.encode()) for text in HELD)
    assert (result.tokens, result.bytes, result.documents, result.complete) == (tokens, num_bytes, 2, True)
    assert result.perplexity == pytest.approx(tokenizer.vocab_size)
    assert result.bits_per_byte == pytest.approx(tokens * math.log2(tokenizer.vocab_size) / num_bytes)
    assert result.protocol == "static, windows of 8 tokens, stride 4"
    assert result.baselines == {} and not result.baselines_primed
    assert 0 < len(HELD) < result.tokens_per_second


def test_baselines_use_the_same_bytes(tokenizer: Tokenizer) -> None:
    model = loaded(Uniform(tokenizer.vocab_size), tokenizer)
    primed = evaluate(model, HELD, training=TRAIN, progress=False)
    bare = evaluate(model, HELD, progress=False)
    held, prior = baselines.documents_bytes(HELD), baselines.documents_bytes(TRAIN)
    assert primed.baselines["ppmd"] * primed.bytes == pytest.approx(baselines.ppmd(prior, held) * len(held))
    assert primed.baselines["xz"] * primed.bytes == pytest.approx(baselines.xz(prior, held) * len(held))
    assert set(primed.baselines) == {"ppmd", "xz", "ngram"}
    assert all(primed.baselines[name] < bare.baselines[name] for name in bare.baselines)
    assert (primed.baselines_primed, bare.baselines_primed) == (True, False)
    assert primed.primed_bytes == sum(len(text.encode()) for text in TRAIN)


def test_prequential_or_static(tokenizer: Tokenizer) -> None:
    model = loaded(ngram(tokenizer), tokenizer)
    learning = evaluate(model, HELD * 5, training=TRAIN, progress=False)
    frozen = evaluate(model, HELD * 5, prequential=False, with_baselines=False, progress=False)
    assert learning.protocol.startswith("prequential") and frozen.protocol.startswith("static")
    assert learning.bits_per_byte < frozen.bits_per_byte
    # The baseline is the same model trained on the same text.
    assert learning.baselines["ngram"] == pytest.approx(learning.bits_per_byte)


def test_members_of_a_mixture(tokenizer: Tokenizer) -> None:
    members = {"ngram": ngram(tokenizer), "uniform": Uniform(tokenizer.vocab_size)}
    alone = {
        name: evaluate(loaded(model, tokenizer), HELD, with_baselines=False, progress=False)
        for name, model in members.items()
    }
    mixture = MixtureModel(ngram_and_uniform_config(members), members)
    result = evaluate(loaded(mixture, tokenizer), HELD, with_baselines=False, progress=False)
    assert result.members == pytest.approx({name: score.bits_per_byte for name, score in alone.items()})
    assert result.protocol.startswith("prequential")
    assert result.bits_per_byte < max(result.members.values())


def ngram_and_uniform_config(members: dict[str, LanguageModel]):
    from wenmo.models.mixture import MixtureConfig

    shapes = {name: member.config.model_dump(mode="json") for name, member in members.items()}
    size = next(iter(members.values())).vocab_size
    return MixtureConfig(vocab_size=size, context_length=8, members=shapes)


def test_limit_cuts_at_a_character(tokenizer: Tokenizer) -> None:
    assert _limited(["江水", "ab"], 100) == (["江水", "ab"], True)
    assert _limited(["江水", "ab"], 5) == (["江"], False)
    assert _limited(["ab", "江水"], 3) == (["ab"], False)
    result = evaluate(
        loaded(Uniform(tokenizer.vocab_size), tokenizer),
        ["江水很高"],
        max_bytes=7,
        with_baselines=False,
        progress=False,
    )
    assert (result.bytes, result.complete) == (6, False)


def test_tail_keeps_the_end() -> None:
    assert _tail(["abc", "江水"], 100) == ["abc", "江水"]
    assert _tail(["abc", "江水"], 7) == ["c", "江水"]
    assert _tail(["abc", "江水"], 5) == ["水"]
    assert _tail(["abcdef"], 2) == ["ef"]
    assert _tail([], 5) == []
    assert _tail(["abc", "", "de"], 2) == ["de"]


def test_refusals(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="no text"):
        evaluate(loaded(Uniform(300), tokenizer), ["", ""], progress=False)
    with pytest.raises(ModelError, match="no tokenizer"):
        evaluate(loaded(Uniform(300), None), HELD, progress=False)


def test_training_text_that_is_gone(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = Uniform(300)
    assert training_texts(loaded(model, tokenizer)) is None
    corpus = {"path": str(tmp_path / "gone"), "fingerprint": "00"}
    assert training_texts(loaded(model, tokenizer, {"corpus": corpus})) is None
