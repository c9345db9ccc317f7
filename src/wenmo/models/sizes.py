"""From one number, the parameters wanted, to the shape of a model.

Embeddings count. The shape is the one that comes within 5 % of the request and is closest to the
proportions that are known to train well: a Transformer about 64 times as wide as it has layers (32 when it is
small, 96 when it is large) with a SwiGLU of 8/3 of the width; two recurrent layers (three when large) with an
embedding as wide as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from wenmo.config import ModelSettings
from wenmo.errors import OptionError

SIZED = ("transformer", "rnn", "lstm", "gru")
"""Architectures whose shape is derived here."""
TOLERANCE = 0.05
"""Largest relative difference between the parameters asked for and those of the shape."""
SMALLEST_WIDTH = 16
DEFAULT_CONTEXT = 256
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
        parameters: Parameters wanted; None takes 4 layers of width 256 (recurrent: 2) for what is not given.

    Returns:
        Fields of `TransformerConfig` or `RecurrentConfig`.

    Raises:
        OptionError: When the settings contradict each other or the size cannot be met.
    """
    shapes = _transformer_shapes if architecture == "transformer" else _recurrent_shapes
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
    if architecture != "transformer":
        return settings.layers or 2, settings.width or 256
    if settings.width:
        return settings.layers or max(2, round(settings.width / _aspect(settings.width))), settings.width
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


def _aspect(width: int) -> float:
    """Width per layer that a Transformer of this width should have."""
    return min(64.0, max(32.0, width / 4)) if width <= 1024 else 96.0


def _steps(limit: int) -> Iterable[int]:
    """Widths worth trying, in steps that grow with them."""
    width = SMALLEST_WIDTH
    while width <= limit:
        yield width
        width += 16 if width < 512 else 32 if width < 1024 else 64


def _head_size(width: int, settings: ModelSettings) -> int | None:
    """Size of a head, even, or None when this width cannot be cut into such heads."""
    if settings.heads is not None:
        size, rest = divmod(width, settings.heads)
        return size if not rest and size and not size % 2 else None
    wanted = 32 if width < 256 else 64 if width < 2048 else 128
    sizes = [size for size in range(min(32, width), 129, 8) if width % size == 0]
    return min(sizes, key=lambda size: abs(math.log(size / wanted)), default=None)


Scored = Iterable[tuple[float, dict[str, Any]]]


def _transformer_shapes(_: str, vocab_size: int, settings: ModelSettings, parameters: int | None) -> Scored:
    """Yields shapes that meet the request, each with its distance from the proportions wanted."""
    from wenmo.models.transformer import TransformerConfig, count_parameters

    context = settings.context or DEFAULT_CONTEXT
    gpt2 = settings.layout == "gpt2"
    limit = parameters // vocab_size + 16 if parameters else 0
    for width in [settings.width] if settings.width else _steps(min(limit, 8192)):
        size = _head_size(width, settings)
        if size is None:
            if settings.width is None:
                continue
            raise OptionError(_uneven(width, settings))
        heads = width // size
        kv_heads = settings.kv_heads or heads
        if heads % kv_heads or (gpt2 and kv_heads != heads):
            if settings.width is None and settings.heads is None and not gpt2:
                continue
            why = "the gpt2 layout has as many" if gpt2 else f"{kv_heads} does not divide {heads}"
            raise OptionError(f"--model.kv-heads {kv_heads} does not fit {heads} attention heads: {why}")
        plain = 4 * width if gpt2 else max(16, round(8 / 3 * width / 16) * 16)
        fields: dict[str, Any] = {
            "architecture": "transformer",
            "layout": settings.layout,
            "vocab_size": vocab_size,
            "context_length": context,
            "width": width,
            "heads": heads,
            "kv_heads": kv_heads,
            "head_size": size,
            "ffn": plain,
            "dropout": settings.dropout or 0.0,
            "tied": settings.tied,
        }
        if parameters is None:
            yield 0.0, {**fields, "layers": settings.layers}
            continue
        one = count_parameters(TransformerConfig(**fields, layers=1))
        per_layer = count_parameters(TransformerConfig(**fields, layers=2)) - one
        per_unit = (2 * width + 1) if gpt2 else 3 * width
        room = parameters - (one - per_layer)
        about = max(1, round(room / per_layer))
        layers_tried = (
            [settings.layers] if settings.layers else range(max(1, about - 2), min(about + 3, 2 * width))
        )
        for layers in layers_tried:
            # What whole layers leave over goes to the feed-forward network.
            exact = plain + (room / layers - per_layer) / per_unit
            for ffn in {plain, round(exact / 16) * 16}:
                if not width <= ffn <= 8 * width:
                    continue
                total = one - per_layer + layers * (per_layer + (ffn - plain) * per_unit)
                error = abs(total / parameters - 1)
                if error > TOLERANCE:
                    continue
                shape = abs(math.log(width / layers / _aspect(width)))
                distance = shape + abs(math.log(ffn / plain)) + 4 * error
                yield distance, {**fields, "layers": layers, "ffn": ffn}


def _uneven(width: int, settings: ModelSettings) -> str:
    if settings.heads is not None:
        return (
            f"--model.width {width} cannot be cut into {settings.heads} heads of an even size; "
            f"take a multiple of {2 * settings.heads}"
        )
    return f"--model.width {width} cannot be cut into heads of 32 to 128; take a multiple of 32"


def _recurrent_shapes(
    architecture: str, vocab_size: int, settings: ModelSettings, parameters: int | None
) -> Scored:
    """Yields shapes that meet the request, each with its distance from the proportions wanted."""
    from wenmo.models.recurrent_config import RecurrentConfig, count_parameters

    fields: dict[str, Any] = {
        "architecture": architecture,
        "vocab_size": vocab_size,
        "context_length": settings.context or DEFAULT_CONTEXT,
        "dropout": settings.dropout or 0.0,
        "recurrent_dropout": settings.recurrent_dropout or 0.0,
        "nonlinearity": settings.nonlinearity,
        "tied": settings.tied,
    }

    def count(hidden: int, embedding: int, layers: int) -> int:
        return count_parameters(
            RecurrentConfig(**fields, hidden_size=hidden, embedding_size=embedding, layers=layers)
        )

    if parameters is None:
        width = settings.width
        yield 0.0, {**fields, "hidden_size": width, "embedding_size": width, "layers": settings.layers}
        return
    wanted_layers = 2 if parameters < 50_000_000 else 3
    for layers in [settings.layers] if settings.layers else range(1, 5):
        for hidden in [settings.width] if settings.width else _steps(16384):
            small, smaller = count(hidden, 8, layers), count(hidden, 4, layers)
            if smaller > parameters * (1 + TOLERANCE):
                break
            # The count is linear in the embedding size up to the hidden size, where the projection goes.
            per_unit = (small - smaller) / 4
            exact = 8 + round((parameters - small) / per_unit / 8) * 8
            for embedding in {hidden, exact}:
                if not SMALLEST_WIDTH <= embedding <= hidden:
                    continue
                error = abs(count(hidden, embedding, layers) / parameters - 1)
                if error > TOLERANCE:
                    continue
                share = vocab_size * embedding * (1 if settings.tied else 2) / parameters
                distance = abs(math.log(layers / wanted_layers)) + 0.5 * abs(math.log(embedding / hidden))
                distance += 4 * error + max(0.0, 2 * (share - 0.5))
                yield (
                    distance,
                    {
                        **fields,
                        "hidden_size": hidden,
                        "embedding_size": embedding,
                        "layers": layers,
                    },
                )
