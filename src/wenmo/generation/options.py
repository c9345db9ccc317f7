"""Which settings hold for a call: those given, over those saved with the model, over the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wenmo.config import GenerationSettings
from wenmo.errors import OptionError
from wenmo.generation.sampling import SAMPLING_OPTIONS, check_options, sampler_of


def resolve_settings(
    given: Mapping[str, Any] | None = None, saved: GenerationSettings | None = None
) -> GenerationSettings:
    """Merges options given for one call into those saved with a model.

    The result's `model_fields_set` names the given options only: these must have an effect, while a saved
    default gives way to a given option that excludes it (a saved `temperature`, when beams are asked for).

    Args:
        given: Options of this call by name.
        saved: The model's own defaults.

    Raises:
        OptionError: When an option is unknown, out of range, without effect or contradicts another.
    """
    given = dict(given or {})
    base = saved or GenerationSettings()
    values = {**base.model_dump(), **given}
    defaults = GenerationSettings()
    samplers = values["samplers"]
    for option in SAMPLING_OPTIONS:
        sampler = sampler_of(option)
        absent = isinstance(samplers, tuple | list) and sampler is not None and sampler not in samplers
        if absent and option not in given:
            values[option] = getattr(defaults, option)
    try:
        checked = GenerationSettings.model_validate(values)
    except ValidationError as error:
        raise OptionError(_first(error)) from error
    settings = GenerationSettings.model_construct(_fields_set=set(given), **dict(checked))
    check_generation(settings)
    return settings


def check_generation(settings: GenerationSettings) -> None:
    """Refuses options that contradict each other or would do nothing.

    Raises:
        OptionError: Naming the option and what to do.
    """
    check_options(settings)
    given = settings.model_fields_set
    if any(not stop for stop in settings.stop):
        raise OptionError("stop: a stop string must not be empty")
    if settings.beams > 1:
        for option in SAMPLING_OPTIONS:
            if option in given and option != "temperature":
                raise OptionError(f"{option} shapes random samples; leave it out with beams={settings.beams}")
        if "temperature" in given and settings.temperature != 0:
            raise OptionError(f"temperature shapes random samples; leave it out with beams={settings.beams}")
        if settings.n > settings.beams:
            raise OptionError(f"n={settings.n} needs at least as many beams; raise beams or lower n")
    elif "length_penalty" in given and settings.length_penalty != 1:
        raise OptionError("length_penalty has no effect without beam search; set beams above 1")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    if first["type"] == "extra_forbidden":
        known = ", ".join(GenerationSettings.model_fields)
        return f"unknown generation option '{name}'; choose from {known}"
    return f"{name}: {first['msg']} (got {first['input']!r})"
