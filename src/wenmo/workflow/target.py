"""`--target`: a score instead of a time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from wenmo.errors import OptionError
from wenmo.models.likelihood import bits_per_byte
from wenmo.models.mixing_weights import fit_weights, mixture_nats

WORST = 8.0
"""Bits per byte without any model."""


@dataclass(frozen=True)
class Target:
    """What was asked for.

    Attributes:
        value: The number.
        unit: `bpb`, bits per byte, or `ppl`, perplexity per token of the run's own tokenizer.
    """

    value: float
    unit: Literal["bpb", "ppl"]

    def bits_per_byte(self, tokens: int, num_bytes: int) -> float:
        """The target in bits per byte, exact for a text of so many tokens and UTF-8 bytes."""
        return self.value if self.unit == "bpb" else math.log2(self.value) * tokens / num_bytes


def parse_target(text: str) -> Target:
    """Reads `1.9`, `1.9bpb` (bits per byte) or `80ppl` (perplexity per token).

    Raises:
        OptionError: When it is none of these, or a number that no model or every model reaches.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(bpb|ppl)?\s*", text.lower())
    if match is None:
        raise OptionError(
            f"--target {text!r} is not a score; write it like 1.9bpb (bits per byte) or 80ppl (perplexity)"
        )
    target = Target(float(match[1]), "ppl" if match[2] == "ppl" else "bpb")
    least = 1.0 if target.unit == "ppl" else 0.0
    if target.value <= least:
        raise OptionError(f"--target {text}: no model reaches that; it must be above {least:g}")
    if target.unit == "bpb" and target.value >= WORST:
        raise OptionError(
            f"--target {text}: a byte has 8 bits, and every model reaches that; choose a lower score"
        )
    return target


def whole_score(nats: list[npt.NDArray[np.float64]], num_bytes: int) -> float:
    """Bits per byte of all members together on held-out text, by the one weight for each that suits it best.

    The weights of the finished mixture know more (they differ by context), so that it is about as good or a little
    better.

    Args:
        nats: Of every token (N,), for each member; those of an n-gram model while it learns on.
        num_bytes: UTF-8 bytes of the tokens.
    """
    rows = np.stack(nats)
    joint = rows[0] if len(rows) == 1 else mixture_nats(rows, fit_weights(rows))
    return bits_per_byte(joint, num_bytes)
