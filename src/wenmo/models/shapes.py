"""Shapes that come near a number of parameters, each with its distance from proportions that train well."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from wenmo.config import ModelSettings
from wenmo.errors import OptionError
from wenmo.models.registry import config_class, kind, model_class

TOLERANCE = 0.05
"""Largest relative difference between the parameters asked for and those of the shape."""
SMALLEST_WIDTH = 16
DEFAULT_CONTEXT = 256


def aspect(width: int) -> float:
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


def layered_shapes(
    architecture: str, vocab_size: int, settings: ModelSettings, parameters: int | None
) -> Scored:
    """Yields shapes of a residual stream with feed-forward networks, each with its distance from what is wanted."""
    limit = parameters // vocab_size + 16 if parameters else 0
    for width in [settings.width] if settings.width else _steps(min(limit, 8192)):
        if kind(architecture) == "scan":
            fields = _scan_fields(architecture, width, settings)
        else:
            fields = _attention_fields(architecture, width, settings)
        if fields is None:
            continue
        two_matrices = settings.activation == "relu2" or fields.get("layout") == "gpt2"
        plain = 4 * width if two_matrices else max(16, round(8 / 3 * width / 16) * 16)
        fields |= {
            "architecture": architecture,
            "vocab_size": vocab_size,
            "context_length": settings.context or DEFAULT_CONTEXT,
            "width": width,
            "ffn": plain,
            "dropout": settings.dropout or 0.0,
            "tied": settings.tied,
        }
        if parameters is None:
            yield 0.0, {**fields, "layers": settings.layers}
        else:
            yield from _filled(fields, settings.layers, parameters)


def _filled(fields: dict[str, Any], layers_given: int | None, parameters: int) -> Scored:
    """Yields the numbers of layers and sizes of feed-forward network that come near a number of parameters."""
    width, plain = fields["width"], fields["ffn"]
    one = _count({**fields, "layers": 1})
    per_layer = (
        _count({**fields, "layers": 3}) - one
    ) / 2  # some families have something on every second layer
    per_unit = _count({**fields, "layers": 1, "ffn": plain + 1}) - one
    about = max(1, round((parameters - (one - per_layer)) / per_layer))
    layers_tried = [layers_given] if layers_given else range(max(1, about - 2), min(about + 3, 2 * width))
    for layers in layers_tried:
        # What whole layers leave over goes to the feed-forward network.
        left = (parameters - _count({**fields, "layers": layers})) / layers / per_unit
        for ffn in {plain, round((plain + left) / 16) * 16}:
            if not width <= ffn <= 8 * width:
                continue
            error = abs(_count({**fields, "layers": layers, "ffn": ffn}) / parameters - 1)
            if error > TOLERANCE:
                continue
            shape = abs(math.log(width / layers / aspect(width)))
            yield shape + abs(math.log(ffn / plain)) + 4 * error, {**fields, "layers": layers, "ffn": ffn}


def _count(fields: dict[str, Any]) -> int:
    """Parameters of a model with these fields, without building it."""
    architecture = fields["architecture"]
    count: int = import_module(model_class(architecture).__module__).count_parameters(
        config_class(architecture)(**fields)
    )
    return count


def _attention_fields(architecture: str, width: int, settings: ModelSettings) -> dict[str, Any] | None:
    """Fields of a Transformer of this width; None where the width does not suit and another may."""
    gpt2 = settings.layout == "gpt2"
    size = _head_size(width, settings)
    if size is None:
        if settings.width is None:
            return None
        raise OptionError(_uneven(width, settings))
    heads = width // size
    kv_heads = settings.kv_heads or heads
    if heads % kv_heads or (gpt2 and kv_heads != heads):
        if settings.width is None and settings.heads is None and not gpt2:
            return None
        why = "the gpt2 layout has as many" if gpt2 else f"{kv_heads} does not divide {heads}"
        raise OptionError(f"--model.kv-heads {kv_heads} does not fit {heads} attention heads: {why}")
    fields = {"layout": settings.layout, "heads": heads, "kv_heads": kv_heads, "head_size": size}
    if architecture == "wenmo":
        del fields["layout"]
        fields |= _given(settings, "residual_scalars", "value_embeddings", "bigrams", "activation")
    return fields


def _scan_fields(architecture: str, width: int, settings: ModelSettings) -> dict[str, Any] | None:
    """Fields of a linear recurrence of this width; None where the width does not suit and another may."""
    fields = {"state_size": width, **_given(settings, "convolution", "gated", "activation")}
    if architecture == "rglru":
        size = _head_size(width, settings)
        if size is None:
            if settings.width is None:
                return None
            raise OptionError(_uneven(width, settings))
        fields["heads"] = width // size
    return fields


def _given(settings: ModelSettings, *names: str) -> dict[str, Any]:
    """The settings of these names that are given; the others have the defaults of the architecture."""
    return {name: value for name in names if (value := getattr(settings, name)) is not None}


def _uneven(width: int, settings: ModelSettings) -> str:
    if settings.heads is not None:
        return (
            f"--model.width {width} cannot be cut into {settings.heads} heads of an even size; "
            f"take a multiple of {2 * settings.heads}"
        )
    return f"--model.width {width} cannot be cut into heads of 32 to 128; take a multiple of 32"


def recurrent_shapes(
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
