"""How much of the test text is scored: as much as the whole model can score in its share of the budget."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.workflow import rivals
from wenmo.workflow.clock import SCORING_SHARE, Clock, Cost
from wenmo.workflow.rivals import LEAST_SCORED_TOKENS, compressors, measure_rivals

PIECES = [b"", b"a", b"b", "猫".encode()]
LENGTHS = np.array([0, 1, 1, 3])
IDS = np.tile(np.array([1, 2, 1, 3]), 5_000)


@pytest.fixture
def texts() -> Any:
    def bytes_of(ids: Any) -> bytes:
        return b"".join(PIECES[token] for token in ids)

    return SimpleNamespace(
        test=SimpleNamespace(ids=IDS, num_bytes=int(LENGTHS[IDS].sum()), num_documents=1),
        train=SimpleNamespace(ids=IDS[:400], num_bytes=int(LENGTHS[IDS[:400]].sum())),
        bytes_per_token=2.0,
        corpus=SimpleNamespace(bytes=lambda split: int(LENGTHS[IDS].sum())),
        tokenizer=SimpleNamespace(eos_id=0),
        bytes_of=bytes_of,
        num_bytes=lambda ids: len(bytes_of(ids)),
    )


@pytest.fixture
def ngram() -> NgramModel:
    model = NgramModel(NgramConfig(vocab_size=4, context_length=8))
    model.fit(IDS[:400], PIECES)
    return model


@pytest.mark.parametrize(
    ("seconds", "tokens"),
    [(1e-6, len(IDS)), (1e-3, int(SCORING_SHARE * 100 / 1e-3)), (1.0, LEAST_SCORED_TOKENS)],
)
def test_the_measured_speed_of_the_whole_model_decides(
    texts: Any, ngram: NgramModel, seconds: float, tokens: int
) -> None:
    clock = Clock(100.0, 0.0, now=lambda: 0.0)
    found = measure_rivals(ngram, texts, clock, Cost(0.0, seconds))
    assert len(found.ids) == pytest.approx(tokens, abs=1)
    assert found.num_bytes == texts.num_bytes(found.ids) and len(found.learning) == len(found.ids)
    assert set(found.baselines) == {"ppmd", "xz", "ngram"}
    if LEAST_SCORED_TOKENS < tokens < len(IDS):
        half = measure_rivals(ngram, texts, clock, Cost(clock.scoring / 2, seconds))
        assert len(half.ids) == pytest.approx(tokens / 2, rel=0.01)


def test_without_a_measurement_the_members_speeds_decide(
    texts: Any, ngram: NgramModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(100.0, 0.0, now=lambda: 0.0, scoring_speeds={"ngram": 4_000.0, "lstm": 4_000.0})
    monkeypatch.setattr(rivals, "LEAST_SCORED_TOKENS", 1)
    found = measure_rivals(cast(Any, ngram), texts, clock, None)
    assert clock.scoring_seconds(found.num_bytes) == pytest.approx(clock.scoring, rel=1e-2)


def test_a_text_that_was_read_before_gives_the_same_scores(texts: Any, ngram: NgramModel) -> None:
    clock, cost = Clock(100.0, 0.0, now=lambda: 0.0), Cost(0.0, 1e-3)
    before = measure_rivals(ngram, texts, clock, cost, compressors(texts, clock.xz))
    assert before.baselines == measure_rivals(ngram, texts, clock, cost).baselines


def test_which_compressor_has_not_read_everything_is_known(
    texts: Any, ngram: NgramModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, cost = Clock(100.0, 0.0, now=lambda: 0.0), Cost(0.0, 1e-3)
    whole = measure_rivals(ngram, texts, clock, cost)
    assert whole.unread == []
    monkeypatch.setattr(rivals, "XZ_BYTES_PER_SECOND", 100 / clock.xz)
    part = measure_rivals(ngram, texts, clock, cost)
    assert part.unread == ["xz has read only the last 100 B of the 600 B to learn from"]
    assert part.baselines["ppmd"] == whole.baselines["ppmd"]
