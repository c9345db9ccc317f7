"""What the answer to `--target` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

LONGEST = 30 * 86_400.0
"""A time beyond this is not told in numbers."""


class Probe(BaseModel):
    """A short training."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    """How long it was."""
    network: float
    """Bits per byte of the network alone on held-out text."""
    bits_per_byte: float
    """Of the whole model."""


class TimeEstimate(BaseModel):
    """The answer; its fields are the JSON that `--json` prints."""

    model_config = ConfigDict(frozen=True)

    target_bits_per_byte: float
    """The score that was asked for, in bits per byte of held-out text."""
    reachable: Literal["yes", "uncertain", "no"]
    """`no` where even the best curve that fits levels off above the target, `uncertain` where only the worst does."""
    seconds: float | None
    """Likely budget of a run that reaches it, everything included; None where it is out of reach."""
    seconds_low: float | None
    """Lower end of the interval that holds it for about nine of ten texts."""
    seconds_high: float | None
    """Upper end; None where it may be out of reach."""
    floor: float
    """Where the curve levels off: bits per byte that no time gets below with this text and recipe."""
    floor_low: float
    """Lower end of its interval."""
    floor_high: float
    """Upper end of its interval."""
    probes: list[Probe]
    """The short trainings, from which everything is extrapolated."""
    ngram: float | None
    """Bits per byte of the n-gram model on the same text; None without one."""
    spent: float
    """Seconds that the answer took."""
    sentence: str
    """The same in words."""


def sentence(found: TimeEstimate, duration: Callable[[float], str]) -> str:
    """Says how long it takes, how sure that is, and what to do."""
    last = found.probes[-1]
    goal = f"{found.target_bits_per_byte:.3f} bits per byte on held-out text"
    seen = f"After {duration(last.seconds)} of training it was {last.bits_per_byte:.3f}"
    floor = f"{found.floor:.3f} ({found.floor_low:.3f} to {found.floor_high:.3f})"
    if last.bits_per_byte <= found.target_bits_per_byte:
        assert found.seconds_high is not None
        return f"{goal}: within {duration(found.seconds_high)}. {seen}."
    if found.reachable == "no":
        return (
            f"{goal} is out of reach: {seen}, and the curve levels off at about {floor}. More time would hardly "
            "help; more text of the same kind would."
        )
    if found.seconds is None:
        assert found.seconds_low is not None
        return (
            f"{goal} is probably out of reach: {seen}, and the curve levels off at about {floor}. At best it takes "
            f"{_long(found.seconds_low, duration)}."
        )
    assert found.seconds_low is not None
    most = "never" if found.seconds_high is None else _long(found.seconds_high, duration)
    advice = (
        f"Run it with --budget {_budget(found.seconds)}"
        if found.seconds < LONGEST
        else "Choose a higher target"
    )
    return (
        f"{goal}: about {_long(found.seconds, duration)} in all ({_long(found.seconds_low, duration)} to {most}). "
        f"{seen}; the curve levels off at about {floor}. {advice}."
    )


def _long(seconds: float, duration: Callable[[float], str]) -> str:
    return duration(seconds) if seconds < LONGEST else "more than a month"


def _budget(seconds: float) -> str:
    """A time as `--budget` takes it, rounded up to two digits or so."""
    if seconds < 120:
        return f"{-(-seconds // 10) * 10:.0f}s"
    minutes = -(-seconds // 60)
    return f"{minutes:.0f}m" if minutes < 100 else f"{-(-minutes // 30) / 2:g}h"
