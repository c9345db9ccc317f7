"""Encoder-decoder architectures by name; a new family is one line here, and the conformance battery takes it in."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pydantic import ValidationError

from wenmo.errors import ModelError
from wenmo.seq2seq.base import Seq2SeqConfig, Seq2SeqModel

_FAMILIES = {
    "transformer": ("wenmo.seq2seq.transformer", "TransformerPairConfig", "TransformerPairModel"),
    "lstm": ("wenmo.seq2seq.recurrent", "RecurrentPairConfig", "RecurrentPairModel"),
    "gru": ("wenmo.seq2seq.recurrent", "RecurrentPairConfig", "RecurrentPairModel"),
}
"""Name -> module, configuration class, model class."""


def architectures() -> tuple[str, ...]:
    """Names of all families."""
    return tuple(_FAMILIES)


def _family(architecture: object) -> tuple[type[Seq2SeqConfig], type[Seq2SeqModel]]:
    if not isinstance(architecture, str) or architecture not in _FAMILIES:
        raise ModelError(
            f"unknown architecture {architecture!r} for translation; this version knows {', '.join(_FAMILIES)}"
        )
    module, config, model = _FAMILIES[architecture]
    found = import_module(module)
    return getattr(found, config), getattr(found, model)


def parse_config(data: dict[str, Any]) -> Seq2SeqConfig:
    """Reads a configuration from plain values, `architecture` among them.

    Raises:
        ModelError: When the architecture is unknown or a field is missing, unknown or out of range.
    """
    try:
        return _family(data.get("architecture"))[0].model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"model configuration, field {field or '(all)'}: {first['msg']}") from error


def build_model(config: Seq2SeqConfig) -> Seq2SeqModel:
    """Builds a model with random weights (torch's global generator)."""
    model: Any = _family(getattr(config, "architecture", None))[1]
    built: Seq2SeqModel = model(config)
    return built


def restore_model(config: Seq2SeqConfig, tensors: dict[str, Any]) -> Seq2SeqModel:
    """Builds the model whose saved tensors are given; see `Seq2SeqModel.restore`."""
    return _family(getattr(config, "architecture", None))[1].restore(config, tensors)
