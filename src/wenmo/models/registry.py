"""Architectures by name. A new family is one line here; nothing is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from wenmo.config import ModelSettings
from wenmo.errors import ModelError, OptionError
from wenmo.models.base import LanguageModel, ModelConfig

Kind = Literal["transformer", "recurrent", "scan", "counted", "mixture"]
"""What families have in common: attention; layers that step through time; recurrences computed for all steps at once;
fitted by counting; made of other models."""


class Family(NamedTuple):
    """Where an architecture is, and what kind it is of."""

    module: str
    config: str
    model: str
    kind: Kind


_TRANSFORMER = Family("wenmo.models.transformer", "TransformerConfig", "TransformerModel", "transformer")
_WENMO = Family("wenmo.models.wenmo", "WenmoConfig", "WenmoModel", "transformer")
_RECURRENT = Family("wenmo.models.recurrent", "RecurrentConfig", "RecurrentModel", "recurrent")
_SCAN = Family("wenmo.models.scan_model", "ScanConfig", "ScanModel", "scan")
_FAMILIES = {
    "transformer": _TRANSFORMER,
    "wenmo": _WENMO,
    "rnn": _RECURRENT,
    "lstm": _RECURRENT,
    "gru": _RECURRENT,
    "mingru": _SCAN,
    "minlstm": _SCAN,
    "rglru": _SCAN,
    "ngram": Family("wenmo.models.ngram", "NgramConfig", "NgramModel", "counted"),
    "mixture": Family("wenmo.models.mixture", "MixtureConfig", "MixtureModel", "mixture"),
}


def architectures() -> tuple[str, ...]:
    """Names of all model families."""
    return tuple(_FAMILIES)


def neural_architectures(*kinds: Kind) -> tuple[str, ...]:
    """Names of the families that are trained by gradients, of the given kinds if any."""
    wanted = kinds or ("transformer", "recurrent", "scan")
    return tuple(name for name, family in _FAMILIES.items() if family.kind in wanted)


def member_architectures() -> tuple[str, ...]:
    """Names of the families that a mixture can be made of."""
    return tuple(name for name, family in _FAMILIES.items() if family.kind != "mixture")


def kind(architecture: str) -> Kind:
    """Returns what kind of family an architecture is.

    Raises:
        ModelError: When the architecture is unknown.
    """
    return _family(architecture).kind


def _family(architecture: object) -> Family:
    if not isinstance(architecture, str) or architecture not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise ModelError(f"unknown architecture {architecture!r}; this version knows {known}")
    return _FAMILIES[architecture]


def config_class(architecture: str) -> type[ModelConfig]:
    """Returns the configuration class of an architecture.

    Raises:
        ModelError: When the architecture is unknown.
    """
    family = _family(architecture)
    found: type[ModelConfig] = getattr(import_module(family.module), family.config)
    return found


def model_class(architecture: str) -> type[LanguageModel]:
    """Returns the model class of an architecture.

    Raises:
        ModelError: When the architecture is unknown.
    """
    family = _family(architecture)
    found: type[LanguageModel] = getattr(import_module(family.module), family.model)
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
    architecture: str,
    *,
    vocab_size: int,
    settings: ModelSettings,
    parameters: int | None = None,
    counted_vocab: int | None = None,
) -> ModelConfig:
    """Derives the shape of a neural model.

    Args:
        architecture: One of `neural_architectures()`.
        vocab_size: Number of tokens V.
        settings: Shape as far as it was asked for; explicit fields win over `parameters`.
        parameters: Wanted number of parameters, embeddings included; see `sizes.solve`.
        counted_vocab: The tokens whose embeddings count among `parameters`; all when None.

    Raises:
        ModelError: When the architecture is unknown.
        OptionError: When the settings contradict each other, or the size cannot be met.
    """
    from wenmo.models import sizes

    if kind(architecture) in ("counted", "mixture"):
        raise OptionError(f"{architecture} has no layers to size; it is built from its own configuration")
    fields = sizes.solve(
        architecture, vocab_size=counted_vocab or vocab_size, settings=settings, parameters=parameters
    )
    return config_class(architecture).model_validate({**fields, "vocab_size": vocab_size})


def build_model(config: ModelConfig) -> LanguageModel:
    """Builds a model with random weights (torch's global generator).

    Raises:
        ModelError: When the architecture is unknown.
    """
    architecture: Any = getattr(config, "architecture", None)
    return model_class(architecture)(config)
