"""What the second core does while the first one counts changes no number."""

import time
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from wenmo.config import Recipe
from wenmo.models.ngram import NgramModel
from wenmo.workflow import doubling, settling
from wenmo.workflow.clock import Clock
from wenmo.workflow.settling import Read, count_beside

PIECES = [b"", b"a", b"b", "猫".encode(), b" "]
LENGTHS = np.array([len(piece) for piece in PIECES])
IDS = np.random.default_rng(0).choice([1, 2, 3, 4], 6_000, p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint16)


@pytest.fixture
def texts() -> Any:
    def bytes_of(ids: Any) -> bytes:
        return b"".join(PIECES[token] for token in ids)

    return SimpleNamespace(
        train=SimpleNamespace(ids=IDS[:4_000], num_bytes=int(LENGTHS[IDS[:4_000]].sum()), num_documents=1),
        valid=SimpleNamespace(ids=IDS[4_000:5_000]),
        test=SimpleNamespace(ids=IDS[5_000:], num_bytes=int(LENGTHS[IDS[5_000:]].sum()), num_documents=1),
        bytes_per_token=2.0,
        tokenizer=SimpleNamespace(eos_id=0, vocab_size=len(PIECES), token_bytes=PIECES),
        bytes_of=bytes_of,
        num_bytes=lambda ids: int(LENGTHS[ids].sum()),
    )


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(settling.hardware, "available_memory", lambda device: 1e12)


def counted(texts: Any, clock: Clock, member: bool = True) -> tuple[NgramModel, Read]:
    run = cast(Any, SimpleNamespace(recipe=Recipe()))
    found, read = count_beside(run, texts, clock, print, False, member)
    assert isinstance(found.model, NgramModel)
    return found.model, read


def test_a_second_core_reads_the_text_for_the_rivals_meanwhile(texts: Any, two_threads: None) -> None:
    clock = Clock(100.0, 0.0, now=lambda: 0.0)
    clock.text_bytes = texts.train.num_bytes
    expected = clock.rivals
    model, read = counted(texts, clock)
    assert expected > 0.0 and clock.rivals == 0.0
    assert model.tokens_seen == len(texts.train.ids)
    assert read.compressors is not None
    assert read.half == doubling.half_nats(model.config, texts, 0)
    alike = settling._halves(model, True, read, texts, clock, 0)
    assert alike == settling._halves(model, True, Read(), texts, clock, 0)
    assert alike is not None and alike.full < alike.half
    assert settling._halves(model, False, read, texts, clock, 0) is None


def test_what_was_given_up_is_not_read_for(
    texts: Any, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    halved, stopped = Event(), Event()

    def half_nats(*arguments: Any) -> float:
        halved.set()
        assert stopped.wait(20.0)
        time.sleep(0.05)  # the exception is on its way
        return 1.0

    def stop(*arguments: Any) -> None:
        assert halved.wait(20.0)
        stopped.set()
        raise KeyboardInterrupt

    read: list[object] = []
    monkeypatch.setattr(settling.doubling, "half_nats", half_nats)
    monkeypatch.setattr(settling, "count", stop)
    monkeypatch.setattr(settling, "compressors", lambda *arguments: read.append(arguments))
    with pytest.raises(KeyboardInterrupt):
        counted(texts, Clock(100.0, 0.0, now=lambda: 0.0))
    assert halved.is_set() and not read


def test_half_of_the_text_is_not_counted_for_a_mere_baseline(texts: Any, two_threads: None) -> None:
    _, read = counted(texts, Clock(100.0, 0.0, now=lambda: 0.0), member=False)
    assert read.compressors is not None and read.half is None


def test_one_core_and_little_memory_leave_it_for_later(texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(100.0, 0.0, now=lambda: 0.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert counted(texts, clock)[1] == Read()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    least = 256 << 20
    for free, expected in ((6.3 * least, True), (5.9 * least, False)):
        monkeypatch.setattr(settling.hardware, "available_memory", lambda device, free=free: free)
        assert (counted(texts, clock)[1] != Read()) == expected


def test_with_one_core_half_is_counted_only_where_that_is_cheap(texts: Any) -> None:
    clock = Clock(100.0, 0.0, now=lambda: 0.0, spent={"counting": 100.0 * doubling.SHARE / 0.6 + 0.1})
    model = NgramModel(settling.ngram_config(texts))
    model.fit(texts.train.ids, PIECES)
    assert settling._halves(model, True, Read(), texts, clock, 0) is None
    clock.spent["counting"] -= 0.2
    assert settling._halves(model, True, Read(), texts, clock, 0) is not None
    model.tokens_seen -= 1
    assert settling._halves(model, True, Read(), texts, clock, 0) is None
