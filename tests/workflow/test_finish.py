"""The end of a run is rehearsed before its last training: compiled, timed, and nothing left behind."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.recurrent import RecurrentModel
from wenmo.models.recurrent_config import RecurrentConfig
from wenmo.workflow import finish, variety
from wenmo.workflow.clock import Cost
from wenmo.workflow.finish import rehearse
from wenmo.workflow.members import Member
from wenmo.workflow.mixing import mixes, score_mixture
from wenmo.workflow.scoring import mix

TEXT = "the cat sat on the mat. the dog sat on the log. 猫坐在垫子上。狗坐在木头上。" * 40
CHARS = sorted(set(TEXT))
IDS = np.array([CHARS.index(char) + 1 for char in TEXT] + [0])
VOCABULARY = len(CHARS) + 1


@pytest.fixture
def mixture() -> MixtureModel:
    torch.manual_seed(0)
    gram = NgramModel(NgramConfig(vocab_size=VOCABULARY, context_length=16))
    gram.fit(IDS[:600], [b"", *(char.encode() for char in CHARS)])
    shape = RecurrentConfig(
        architecture="gru",
        vocab_size=VOCABULARY,
        context_length=16,
        layers=1,
        embedding_size=8,
        hidden_size=8,
    )
    return MixtureModel.of({"gru": RecurrentModel(shape).eval(), "ngram": gram})


@pytest.fixture
def texts() -> Any:
    return SimpleNamespace(valid=SimpleNamespace(ids=IDS), tokenizer=SimpleNamespace(eos_id=0))


def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs at the same time, so that a clock that is moved adds up."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


def test_a_mixture_is_scored_as_it_scores_itself(mixture: MixtureModel) -> None:
    mixture.fit_weights(IDS)
    found = score_mixture(mixture, IDS, 0, True)
    assert np.allclose(found.static, mixture.token_nats(IDS, 16, False), atol=1e-9)
    assert np.allclose(found.prequential, mixture.token_nats(IDS, 16, True), atol=1e-9)
    assert found.members.shape == (2, len(IDS)) and {"gru", "ngram"} <= set(found.gains) <= set(found.shares)
    frozen = score_mixture(mixture, IDS, 0, False)
    assert np.array_equal(frozen.prequential, frozen.static)


def test_the_rehearsal_takes_in_fitting_both_readings_and_what_each_member_saves(
    mixture: MixtureModel, texts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_thread(monkeypatch)
    seconds = {"fit_weights": 8.0, "evidence": 4.0, "gains": 2.0, "mix": 1.0, "shares": 0.0}
    now = [0.0]

    def timed(name: str) -> Any:
        real = getattr(MixtureModel, name)

        def call(*args: Any, **options: Any) -> Any:
            before = now[0]
            found = real(*args, **options)
            now[0] = before + seconds[name] * (
                len(args[1]) / 1000 if name in ("fit_weights", "evidence") else len(args[1].known) / 1000
            )
            return found

        return call

    for name in seconds:
        monkeypatch.setattr(MixtureModel, name, timed(name))
    monkeypatch.setattr(finish.time, "monotonic", lambda: now[0])
    found = rehearse(mixture, texts, "cpu")
    assert found.fitting.token == pytest.approx(8e-3)
    assert found.scoring.token == pytest.approx((2 * 4.0 + 2 * 1.0 + 2.0) / 1000)
    assert found.fitting.once == pytest.approx(0.0, abs=1e-9) and found.fitting_all(texts) == pytest.approx(
        found.fitting.token * len(IDS)
    )
    assert mixture.logistic and mixture.held_out is None  # writing is timed in the slower way


def test_a_cache_that_looks_further_back_in_a_long_text_is_reckoned_with(
    mixture: MixtureModel, texts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def filling(self: MixtureModel, tokens: int) -> float:
        asked.append(tokens)
        return 100.0

    monkeypatch.setattr(MixtureModel, "filling_seconds", filling)
    found = rehearse(mixture, texts, "cpu")
    assert asked == [min(len(IDS), finish.REHEARSED_TOKENS[-1])]
    assert 100.0 < found.fitting.token < 101.0 and 100.0 < found.scoring.token < 101.0


def test_what_is_done_once_is_not_reckoned_for_every_token(
    mixture: MixtureModel, texts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    real = MixtureModel.fit_weights

    def fit(self: MixtureModel, ids: Any, **options: Any) -> None:
        real(self, ids, **options)
        now[0] += 5.0 + 0.01 * len(ids)

    monkeypatch.setattr(MixtureModel, "fit_weights", fit)
    monkeypatch.setattr(MixtureModel, "logistic", property(lambda self: True))
    monkeypatch.setattr(finish, "score_mixture", lambda *rest: None)
    monkeypatch.setattr(MixtureModel, "filling_seconds", lambda self, tokens: 0.0)
    monkeypatch.setattr(finish.time, "monotonic", lambda: now[0])
    found = rehearse(mixture, texts, "cpu")
    assert (found.fitting.once, found.fitting.token) == (pytest.approx(5.0), pytest.approx(0.01))
    assert (found.scoring.once, found.scoring.token) == (0.0, 0.0)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_weights_are_fitted_on_less_text_where_time_is_short(
    mixture: MixtureModel, texts: Any, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    read: list[int] = []
    real = MixtureModel.fit_weights

    def fit(self: MixtureModel, ids: Any, **options: Any) -> None:
        read.append(len(ids))
        real(self, ids, **options)

    monkeypatch.setattr(MixtureModel, "fit_weights", fit)
    members = [
        Member(name, cast(Any, model), [], None, None, 0.0, 1.0, 1.0)
        for name, model in mixture.members.items()
    ]
    long = SimpleNamespace(valid=SimpleNamespace(ids=np.tile(IDS, 2)), tokenizer=texts.tokenizer)
    mix(members, cast(Any, long), seconds, Cost(10.0, 0.02))
    assert read == [pytest.approx(2000 if seconds == 0.0 else 2500, rel=0.01)]


def test_what_becomes_a_mixture(mixture: MixtureModel) -> None:
    network, ngram = mixture.members.values()
    several, alone, counted = cast(Any, ([network, ngram], [network], [ngram]))
    assert mixes("lstm", several) and mixes("auto", several)
    assert mixes("auto", alone) and mixes("mixture", alone)  # with its cache
    assert not mixes("lstm", alone)
    assert not mixes("auto", counted) and not mixes("mixture", counted)


@pytest.mark.parametrize("document", ["猫坐在垫子上，狗坐在木头上。", "the cat sat on the mat. "])
def test_looking_for_copies_is_timed_on_so_much_text_whatever_the_language(
    document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens of a few bytes; documents of one token."""
    ids, size = np.tile([1, 0], 60_000), len(document.encode())
    texts: Any = SimpleNamespace(
        train=SimpleNamespace(ids=ids, num_bytes=60_000 * size),
        valid=SimpleNamespace(ids=IDS),
        bytes_per_token=size / 2,
        bytes_of=lambda ids: b"".join([(b"\0", document.encode())[token] for token in ids]),
        tokenizer=SimpleNamespace(decode=lambda ids: TEXT),
    )
    asked: list[int] = []

    def search(text: str, found: list[str]) -> None:
        asked.append(sum(len(each.replace("\0", "").encode()) for each in found))

    monkeypatch.setattr(finish, "longest_copy", search)
    finish.copy_seconds(texts)
    assert asked == [pytest.approx(finish.PROBED_BYTES, rel=0.01)]
    monkeypatch.setattr(variety, "longest_copy", search)
    monkeypatch.setattr(variety, "copied_share", lambda written, found: 0.0)
    variety._search_cost(texts, [TEXT])
    assert asked[1:] == [pytest.approx(variety.PROBED_BYTES, rel=0.01)]
