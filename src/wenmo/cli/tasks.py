"""The verbs of the applications, and `train --task`: built from the settings and functions of their files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import Field, create_model

from wenmo.cli import started as command_started
from wenmo.cli.options import Common, given, paths_given, recipe_of, restored
from wenmo.errors import OptionError
from wenmo.tasking.contract import Task, TaskResult, TaskSettings
from wenmo.tasking.terminal import Terminal
from wenmo.tasks import get_task, verbs


def __getattr__(name: str) -> Callable[..., None]:
    """Makes the command of a verb when it is called for (PEP 562)."""
    found = verbs()
    if name not in found:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return verb_command(get_task(found[name][0]), name)


def chosen_task(words: Sequence[str]) -> Task | None:
    """Returns the task that a command line of `train` is about: named by `--task`, or that of the run to resume.

    Raises:
        OptionError: When the task is unknown.
    """
    name = _option(words, "--task")
    if name is not None:
        return get_task(name)
    resume = _option(words, "--resume")
    if resume is not None:
        from wenmo.tasking.running import unfinished_task

        name = unfinished_task(resume)
    return get_task(name) if name else None


def _option(words: Sequence[str], name: str) -> str | None:
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == name:
            if following is None:
                raise OptionError(f"{name} needs a value")
            return following
        if word.startswith(f"{name}="):
            return word[len(name) + 1 :]
    return None


@cache
def _options_class(settings: type[TaskSettings]) -> type[TaskSettings]:
    """The settings as options: `--from` stands for `--from-model`, which is no name a Python field can have."""
    field = settings.model_fields["from_model"]
    short: Any = Annotated[Path | None, Parameter(name=("--from",))]
    described: Any = Field(default=field.default, description=field.description)
    made = create_model(f"{settings.__name__}Options", __base__=settings, from_model=(short, described))
    return Parameter(name="*")(made)


def train_command(task: Task) -> Callable[..., None]:
    """Returns the verb `train` for a task."""
    options_class = _options_class(task.settings)

    def train(
        paths: Any = None,
        /,
        *,
        task: str = task.name,
        output: Path | None = None,
        config: Path | None = None,
        resume: Path | None = None,
        options: Any = None,
        common: Common = Common(),  # noqa: B008 - frozen
    ) -> None:
        del task  # it has chosen this function
        _train(chosen, paths or [], output, config, resume, options, common)

    chosen = task
    train.__doc__ = f"""{task.summary}

    Args:
        paths: Files of examples.
        task: The application.
        output: Folder of the model; a new one under runs/ when not given.
        config: YAML file with settings; options given here go before it.
        resume: Folder of an interrupted run to go on with.
        options: Settings of the task.
        common: Options of every verb.
    """
    train.__annotations__ |= {
        "paths": Annotated[list[str] | None, Parameter(negative=())],
        "task": str,
        "output": Annotated[Path | None, Parameter(name=("--output", "-o"))],
        "config": Path | None,
        "resume": Path | None,
        "options": options_class | None,
        "common": Common,
        "return": None,
    }
    return train


def _train(
    task: Task,
    paths: list[str],
    output: Path | None,
    config: Path | None,
    resume: Path | None,
    options: TaskSettings | None,
    common: Common,
) -> None:
    from wenmo.tasking.running import train_task

    settings: TaskSettings | None = None
    if resume is None or config is not None or given(options):
        settings = recipe_of(task.settings, config, options)
    result = train_task(
        task,
        paths_given(paths),
        output,
        settings,
        resume=resume,
        progress=not common.quiet,
        started=command_started(),
    )
    if common.json:
        from wenmo.cli.output import print_json

        print_json(result)
    else:
        _print(task, result)


def _print(task: Task, result: TaskResult) -> None:
    from wenmo.cli.output import from_here, print_table
    from wenmo.progress import duration
    from wenmo.tasking.report import shown_number

    names = list(dict.fromkeys([result.metric, *result.scores]))
    rows = [("this model", result.scores), *result.baselines.items()]
    print()
    print_table(
        [
            (name, *(shown_number(scores[key]) if key in scores else "" for key in names))
            for name, scores in rows
        ],
        ("", *(name.replace("_", " ") for name in names)),
        numeric=range(1, len(names) + 1),
    )
    counts = ", ".join(f"{count:,} {name}" for name, count in result.examples.items())
    print(f"examples: {counts}")
    for reason, count in result.dropped.items():
        print(f"left out: {count:,} {reason}")
    print(f"\n{result.verdict}")
    model = from_here(result.model)
    print(f"\nModel   {model}  ({duration(result.seconds)})")
    print(f"Report  {from_here(result.report)}")
    print(f"Use     wenmo {next(iter(task.verbs))} {model}")


def verb_command(task: Task, verb: str) -> Callable[..., None]:
    """Returns a verb of a task as a command: its terminal becomes the options that every verb has."""
    function = getattr(inspect.getmodule(type(task)), verb.replace("-", "_"))
    signature = inspect.signature(function, eval_str=True)
    terminal = next(
        name for name, parameter in signature.parameters.items() if parameter.annotation is Terminal
    )

    def command(*values: Any, common: Common = Common(), **named: Any) -> None:  # noqa: B008 - frozen
        shown = Terminal(json=common.json, progress=not common.quiet)
        arguments = {name: restored(value) for name, value in named.items()}
        function(*map(restored, values), **arguments, **{terminal: shown})

    own = [_named(parameter) for name, parameter in signature.parameters.items() if name != terminal]
    shared = inspect.Parameter("common", inspect.Parameter.KEYWORD_ONLY, default=Common(), annotation=Common)
    command.__signature__ = inspect.Signature([*own, shared])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, shared)}
    doc = inspect.getdoc(function) or ""
    command.__doc__ = "\n".join(
        line for line in doc.splitlines() if not line.strip().startswith(f"{terminal}:")
    )
    command.__name__ = verb
    return command


def _named(parameter: inspect.Parameter) -> inspect.Parameter:
    """Lets `-o` stand for `--output` in every verb."""
    annotation = parameter.annotation
    if parameter.name != "output" or any(
        isinstance(m, Parameter) for m in getattr(annotation, "__metadata__", ())
    ):
        return parameter
    return parameter.replace(annotation=Annotated[annotation, Parameter(name=("--output", "-o"))])
