"""From one number, the parameters wanted, to the shape of a model.

Embeddings count. The shape is the one that comes within 5 % of the request and is closest to the
proportions that are known to train well: a Transformer about 64 times as wide as it has layers (32 when it is
small, 96 when it is large) with a SwiGLU of 8/3 of the width; two recurrent layers (three when large) with an
embedding as wide as they are.
"""

from __future__ import annotations

import re
from typing import Any

from wenmo.config import ModelSettings
from wenmo.errors import OptionError
from wenmo.models.registry import kind, neural_architectures
from wenmo.models.shapes import SMALLEST_WIDTH, TOLERANCE, aspect, layered_shapes, recurrent_shapes

__all__ = ["SIZED", "TOLERANCE", "parse_size", "solve"]

SIZED = neural_architectures()
"""Architectures whose shape is derived here."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}


def parse_size(text: str) -> int:
    """Reads a number of parameters such as `800k`, `5M`, `1.5B` or `250000`.

    Raises:
        OptionError: When it is not a positive number with an optional k, M or B.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmbg]?)\s*", text.lower())
    number = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if number < 1:
        raise OptionError(f"--size {text} is not a number of parameters; write for example 800k, 5M or 1B")
    return number


def _readable(number: float) -> str:
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return str(round(number))


def solve(
    architecture: str, *, vocab_size: int, settings: ModelSettings, parameters: int | None
) -> dict[str, Any]:
    """Derives the fields of a configuration.

    Args:
        architecture: One of `SIZED`.
        vocab_size: Number of tokens V.
        settings: Fields given by hand; they are kept as they are. With layers and width both given, the
            parameters wanted have nothing left to decide and are not used.
        parameters: Parameters wanted; None takes 4 layers of width 256 (rnn, lstm, gru: 2) for what is not given.

    Returns:
        Fields of the architecture's configuration.

    Raises:
        OptionError: When the settings contradict each other or the size cannot be met.
    """
    shapes = recurrent_shapes if kind(architecture) == "recurrent" else layered_shapes
    if parameters is None or (settings.layers and settings.width):
        layers, width = _plain_shape(architecture, settings)
        pinned = settings.model_copy(update={"layers": layers, "width": width})
        return min(shapes(architecture, vocab_size, pinned, None), key=lambda found: found[0])[1]
    best = min(
        shapes(architecture, vocab_size, settings, parameters), key=lambda found: found[0], default=None
    )
    if best is None:
        raise OptionError(_unmet(vocab_size, settings, parameters))
    return best[1]


def _plain_shape(architecture: str, settings: ModelSettings) -> tuple[int, int]:
    """Layers and width when no number of parameters decides."""
    if kind(architecture) == "recurrent":
        return settings.layers or 2, settings.width or 256
    if settings.width:
        return settings.layers or max(2, round(settings.width / aspect(settings.width))), settings.width
    heads = settings.heads or 1
    width = max(64, 64 * (settings.layers or 4))
    return settings.layers or 4, -(-width // (2 * heads)) * 2 * heads


def _unmet(vocab_size: int, settings: ModelSettings, parameters: int) -> str:
    width = settings.width or SMALLEST_WIDTH
    copies = 1 if settings.tied else 2
    embedding = vocab_size * width * copies
    if embedding >= parameters:
        least = "at the smallest width of " if settings.width is None else "at a width of "
        return (
            f"{_readable(parameters)} parameters are too few for a vocabulary of {vocab_size:,} tokens: its "
            f"embedding alone takes {_readable(embedding)} {least}{width}; ask for a larger --size or a "
            "smaller --tokenizer.vocab_size"
        )
    asked = {name: getattr(settings, name) for name in ("layers", "width", "heads")}
    given = [f"{name} {value}" for name, value in asked.items() if value]
    with_given = f" with {', '.join(given)}" if given else ""
    return (
        f"no shape{with_given} has {_readable(parameters)} parameters with {vocab_size:,} tokens; "
        "change --size, or give --model.layers and --model.width"
    )
