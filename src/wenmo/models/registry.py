"""Architectures by name. A new family is one line here; nothing is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pydantic import ValidationError

from wenmo.config import ModelSettings
from wenmo.errors import ModelError, OptionError
from wenmo.models.base import LanguageModel, ModelConfig

_FAMILIES = {
    "transformer": ("wenmo.models.transformer", "TransformerConfig", "TransformerModel"),
    "rnn": ("wenmo.models.recurrent", "RecurrentConfig", "RecurrentModel"),
    "lstm": ("wenmo.models.recurrent", "RecurrentConfig", "RecurrentModel"),
    "gru": ("wenmo.models.recurrent", "RecurrentConfig", "RecurrentModel"),
    "ngram": ("wenmo.models.ngram", "NgramConfig", "NgramModel"),
    "mixture": ("wenmo.models.mixture", "MixtureConfig", "MixtureModel"),
}
"""Name -> module, configuration class, model class."""


def architectures() -> tuple[str, ...]:
    """Names of all model families."""
    return tuple(_FAMILIES)


def _family(architecture: object) -> tuple[str, str, str]:
    if not isinstance(architecture, str) or architecture not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise ModelError(f"unknown architecture {architecture!r}; this version knows {known}")
    return _FAMILIES[architecture]


def config_class(architecture: str) -> type[ModelConfig]:
    """Returns the configuration class of an architecture.

    Raises:
        ModelError: When the architecture is unknown.
    """
    module, name, _ = _family(architecture)
    found: type[ModelConfig] = getattr(import_module(module), name)
    return found


def model_class(architecture: str) -> type[LanguageModel]:
    """Returns the model class of an architecture.

    Raises:
        ModelError: When the architecture is unknown.
    """
    module, _, name = _family(architecture)
    found: type[LanguageModel] = getattr(import_module(module), name)
    return found


def parse_config(data: dict[str, Any]) -> ModelConfig:
    """Reads a configuration from what `config.model_dump(mode="json")` returned.

    Raises:
        ModelError: When the architecture is unknown or a field is missing, unknown or out of range.
    """
    cls = config_class(str(data.get("architecture")))
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = f"model configuration, field {field or '(all)'}: {first['msg']}"
        raise ModelError(message) from error


def build_config(
    architecture: str, *, vocab_size: int, settings: ModelSettings, parameters: int | None = None
) -> ModelConfig:
    """Derives the shape of a neural model.

    Args:
        architecture: transformer, rnn, lstm or gru.
        vocab_size: Number of tokens V.
        settings: Shape as far as it was asked for; explicit fields win over `parameters`.
        parameters: Wanted number of parameters, embeddings included; see `sizes.solve`.

    Raises:
        ModelError: When the architecture is unknown.
        OptionError: When the settings contradict each other, or the size cannot be met.
    """
    from wenmo.models import sizes

    if architecture not in sizes.SIZED:
        _family(architecture)
        raise OptionError(f"{architecture} has no layers to size; it is built from its own configuration")
    fields = sizes.solve(architecture, vocab_size=vocab_size, settings=settings, parameters=parameters)
    return config_class(architecture).model_validate(fields)


def build_model(config: ModelConfig) -> LanguageModel:
    """Builds a model with random weights (torch's global generator).

    Raises:
        ModelError: When the architecture is unknown.
    """
    architecture: Any = getattr(config, "architecture", None)
    return model_class(architecture)(config)
