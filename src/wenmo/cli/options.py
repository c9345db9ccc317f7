"""Options shared by the verbs, and how they become a recipe: defaults, then YAML, then the command line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel, ValidationError

from wenmo.cli import STDIN
from wenmo.config import Settings
from wenmo.errors import OptionError

if TYPE_CHECKING:
    from cyclopts import CycloptsError
    from cyclopts.exceptions import UnknownOptionError

AnySettings = TypeVar("AnySettings", bound=Settings)
NAME_LISTS = ("members", "samplers", "architectures")


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every verb."""

    json: Annotated[bool, Parameter(negative=())] = False
    """Print one JSON object on standard output."""
    quiet: Annotated[bool, Parameter(negative=())] = False
    """Show no progress."""
    debug: Annotated[bool, Parameter(negative=())] = False
    """Show the traceback of an error."""


def given(settings: Settings | None) -> dict[str, Any]:
    """Returns what was given on the command line, without defaults."""
    return {} if settings is None else restored(settings.model_dump(exclude_unset=True))


def plain(settings: AnySettings | None, kind: type[AnySettings], prefix: str = "--") -> AnySettings:
    """Returns the settings given on the command line over the defaults of `kind`."""
    return validate(kind, given(settings), prefix)


def paths_given(paths: Sequence[str]) -> list[str]:
    """Returns the paths with standard input as `-`."""
    return ["-" if path == STDIN else path for path in paths]


def recipe_of(kind: type[AnySettings], config: Path | None, options: Settings | None) -> AnySettings:
    """Returns the recipe: the command line over `config` (YAML) over the defaults of `kind`.

    Raises:
        OptionError: When the file cannot be read, a field is unknown or a value is out of range.
    """
    written = {} if config is None else read_yaml(config)
    if config is not None:
        validate(kind, written, f"{config}: ")
    return validate(kind, merged(written, given(options)), "--")


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping; `-` in field names may stand for `_`.

    Raises:
        OptionError: When the file is missing, is not UTF-8, or is not a YAML mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(f"--config: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"--config: {path} is not UTF-8 text; save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise OptionError(f"--config: {path}{line} is not valid YAML: {problem}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise OptionError(f"--config: {path} must hold fields of the recipe, such as 'budget: 10m'")
    return {str(name).replace("-", "_"): _underscored(item) for name, item in content.items()}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with the values of `over` put in, group by group."""
    result = dict(base)
    for name, value in over.items():
        below = result.get(name)
        result[name] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def validate(kind: type[AnySettings], values: Mapping[str, Any], prefix: str) -> AnySettings:
    """Builds settings from plain values.

    Args:
        kind: Settings to build.
        values: Field values, nested as the settings are.
        prefix: What stands before a field's name in a message, such as `--` or a file name.

    Raises:
        OptionError: When a field is unknown or a value is out of range.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise OptionError(settings_sentence(error, kind, prefix)) from error


def settings_sentence(error: ValidationError, kind: type[BaseModel] | None, prefix: str) -> str:
    """Says in one sentence which field is wrong, why, and what was given."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    separator = "-" if prefix == "--" else "_"
    name = prefix + ".".join(part.replace("_", separator) for part in location)
    if first["type"] == "extra_forbidden":
        return f"{name} is not a field of the recipe{_suggestion(location, kind)}"
    reason = first["msg"].removeprefix("Value error, ").split(", unable to parse")[0]
    reason = reason.replace("Input should be", "must be")
    return f"{name} {reason}, not {first['input']!r}"


def option_sentence(error: CycloptsError) -> str:
    """Says in one sentence which option is wrong."""
    from cyclopts.exceptions import UnknownOptionError, UnusedCliTokensError

    cause = error.__cause__ or error.__context__
    if isinstance(cause, ValidationError):
        # The bounds of a single option know nothing of its name.
        own = getattr(getattr(error, "argument", None), "name", "") if not cause.errors()[0]["loc"] else ""
        return settings_sentence(cause, None, own or "--")
    error.verbose = False
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        words = " ".join(error.unused_tokens).replace(STDIN, "-")
        return f"not expected here: {words}; put text with spaces in quotes, and write lists with commas"
    if isinstance(error, UnknownOptionError) and (meant := _ending_alike(error)):
        return f"{error.token.keyword or error.token.value} is no option of this; did you mean {meant}?"
    return " ".join(str(error).replace(STDIN, "-").split()).rstrip(".")


def _ending_alike(error: UnknownOptionError) -> str:
    """The options of groups whose last word was given: `--seed` means `--training.seed`."""
    word = (error.token.keyword or error.token.value).split("=")[0].lstrip("-")
    names = [name for argument in error.argument_collection for name in argument.names]
    return " or ".join(sorted(name for name in names if name.endswith(f".{word}")))


def _suggestion(location: Sequence[str], kind: type[BaseModel] | None) -> str:
    for group in location[:-1]:
        annotation = kind.model_fields[group].annotation if kind and group in kind.model_fields else None
        kind = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    names = list(kind.model_fields) if kind else []
    close = difflib.get_close_matches(location[-1], names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _underscored(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name).replace("-", "_"): _underscored(item) for name, item in value.items()}
    return value


def restored(value: Any, name: str = "") -> Any:
    """Puts `-` back for the stand-in of standard input, and lets lists of names be written with commas."""
    if isinstance(value, dict):
        return {key: restored(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [restored(item) for item in value]
        if name in NAME_LISTS:
            return tuple(part.strip() for item in items for part in item.split(","))
        return type(value)(items)
    return "-" if value == STDIN else value
