"""Writing to order: answers to instructions, conversations, and prompted forms such as title to article."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from wenmo.config import NeuralArchitecture
from wenmo.errors import InputError, OptionError
from wenmo.interrupts import take_interrupt
from wenmo.tasking.contract import Section, Task, TaskContext, TaskModel, TaskOutcome, TaskSettings
from wenmo.tasking.terminal import Terminal

if TYPE_CHECKING:
    from wenmo.conversation.assistant import Assistant, Reply
    from wenmo.conversation.course import Course
    from wenmo.conversation.session import ChatSession

SHOWN = 6
"""Answers shown in the report."""


class WritingSettings(TaskSettings):
    """Options of the task."""

    prompt: str | None = None
    """What is asked, with columns in braces, such as 'Write about {title}'; guessed when not given."""
    answer: str | None = None
    """Column of the answer; guessed when not given."""
    system: str | None = None
    """System message of conversations that have none; may hold columns in braces."""
    architecture: NeuralArchitecture = "transformer"
    """Family of a new model (without `--from`)."""
    size: str | None = None
    """Parameters of a new model: `800k`, `5M`; derived when not given."""
    mixture: bool = True
    """Mix in an n-gram model of the conversations where that lowers the held-out loss."""
    context: Annotated[int, Field(ge=16)] | None = None
    """Tokens of a conversation that are read; chosen so that most fit when not given."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the conversations, whatever the budget; decided when not given."""
    lr_scale: Annotated[float, Field(gt=0)] | None = None
    """Learning rates as a share of those of a new model; decided when not given."""
    batch_tokens: Annotated[int, Field(ge=16)] | None = None
    """Tokens per optimiser step; decided when not given."""


class WritingModel(TaskModel):
    """A language model that answers.

    Attributes:
        assistant: Does the talking.
    """

    def __init__(self, assistant: Assistant) -> None:
        self.assistant = assistant

    def save(self, directory: Path) -> None:
        """See `TaskModel.save`: a language model directory, which every verb for language models takes too."""
        from wenmo.models.storage import save_model

        loaded = self.assistant.loaded
        save_model(
            loaded.model,
            directory,
            tokenizer=loaded.tokenizer,
            info=loaded.info,
            generation=loaded.generation,
        )

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[Reply]:
        """Answers each input by itself; with one seed (0 when not given) always in the same words.

        Args:
            inputs: Messages, the fields of a form, or lists of messages whose last one is the user's.
            **options: `system`, and fields of `wenmo.GenerationSettings`, such as max_tokens=100.

        Returns:
            A `Reply` for each, with `text`, `finish_reason` and `tokens`.

        Raises:
            InputError: When an input is none of these.
            OptionError: When an option is unknown, out of range or has no effect.
        """
        return self.assistant.answer(inputs, **{"seed": 0, **options})


class Writing(Task):
    """See `wenmo.tasking.contract.Task`."""

    name = "writing"
    summary = "Write to order: answer instructions, talk, or fill forms such as title to article."
    settings = WritingSettings
    verbs: ClassVar[dict[str, str]] = {"chat": "Talk with a model, or let it answer prompts."}

    def check(self, settings: WritingSettings) -> None:
        """See `Task.check`."""
        if settings.from_model is not None:
            for option in ("architecture", "size"):
                if getattr(settings, option) != WritingSettings.model_fields[option].default:
                    raise OptionError(f"--{option} is for a new model; leave it out with --from")

    def train(self, paths: Sequence[str], settings: WritingSettings, context: TaskContext) -> TaskOutcome:
        """See `Task.train`."""
        from wenmo.conversation.course import Reading, run_course
        from wenmo.conversation.finetuning import FineTuningSettings

        reading = Reading(
            paths,
            **settings.model_dump(
                include={
                    *("valid", "test", "valid_fraction", "test_fraction", "encoding"),
                    *("prompt", "answer", "system", "seed"),
                }
            ),
        )
        tuning = FineTuningSettings(
            **settings.model_dump(
                include={"architecture", "size", "context", "epochs", "lr_scale", "batch_tokens", "seed"}
            )
        )
        course = run_course(
            reading, settings.from_model, tuning, mixed=settings.mixture,
            directory=context.directory, budget=context.budget, left=lambda: context.left,
            say=context.say, progress=context.progress,
        )  # fmt: skip
        return _outcome(course)

    def load(self, directory: Path) -> WritingModel:
        """See `Task.load`."""
        from wenmo.conversation.assistant import open_assistant

        return WritingModel(open_assistant(directory))


TASK = Writing()


def _outcome(course: Course) -> TaskOutcome:
    from wenmo.conversation import verdict
    from wenmo.conversation.assistant import Assistant
    from wenmo.models.storage import LoadedModel

    tuned, sides = course.tuned, course.sides
    form = None if sides.form is None else vars(sides.form)
    scores = verdict.scores_of(course)
    info: dict[str, Any] = {
        "chat": {"form": form, "system": sides.system, "turns": sides.turns},
        "training": tuned.plan.model_dump(mode="json"),
        "scores": scores,
    }
    if course.diversity is not None and course.human is not None:
        info["diversity"] = {"model": course.diversity.model_dump(), "people": course.human.model_dump()}
    loaded = LoadedModel(course.model.eval(), tuned.tokenizer, info, course.generation, Path())
    return TaskOutcome(
        model=WritingModel(Assistant(loaded)),
        metric=verdict.METRIC,
        higher_is_better=False,
        scores=scores,
        baselines=verdict.baselines_of(course),
        signatures=verdict.signatures_of(course),
        examples={"train": len(sides.train), "valid": len(sides.valid), "test": len(sides.test)},
        dropped=dict(sides.dropped),
        verdict=verdict.verdict_of(course),
        sections=_sections(course),
    )


def _sections(course: Course) -> list[Section]:
    from wenmo.evaluation.charts import learning_curve
    from wenmo.evaluation.diversity import diversity_rows

    sections: list[Section] = []
    rows = [dict(vars(row)) for row in course.tuned.outcome.curve]
    if len(rows) > 1:
        note = "Bits per byte of answers against training time: held-out (solid), training (dashed)."
        sections.append(Section("Learning", (note,), html=learning_curve(rows, "Learning curve")))
    if course.written:
        table = tuple((each.prompt, each.text, each.reference) for each in course.written[:SHOWN])
        sections.append(Section("What it answers", (), ("asked", "the model", "a person"), table))
    if course.diversity is not None and course.human is not None:
        note = "The texts are cut to equal length, since all these numbers depend on it."
        numbers = tuple(diversity_rows(course.diversity, course.human))
        sections.append(Section("Is it copying?", (note,), ("", "the model", "people"), numbers))
    return sections


def chat(
    model: Path,
    /,
    *,
    message: list[str] | None = None,
    field: list[str] | None = None,
    file: Path | None = None,
    output: Path | None = None,
    system: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    repeat_penalty: float | None = None,
    seed: int | None = None,
    terminal: Terminal,
) -> None:
    """Talk with a model, or let it answer prompts.

    Without --message, --field or --file it asks for messages until the end of the input (Ctrl-D); /new forgets what was
    said, and Ctrl-C breaks an answer off.

    Args:
        model: Folder of the model; one that was not trained on conversations continues the text.
        message: A message to answer; several are said one after another; - reads standard input.
        field: A field of the prompt, such as title=Spring, for a model with a form of several fields.
        file: File of prompts: rows with the form's columns, or with messages.
        output: File for the answers to --file: .csv, .tsv, .jsonl or .parquet.
        system: System message; that of the training when not given.
        max_tokens: Most tokens of an answer; saved with the model when not given.
        temperature: 0 takes the likeliest token each time; saved with the model when not given.
        top_p: Keep the smallest set of tokens with this probability.
        repeat_penalty: Divides the logits of tokens already used; 1 is off.
        seed: Seed of the sampling; random when not given.
        terminal: Where the result goes.
    """
    from wenmo.conversation.assistant import open_assistant

    given = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "repeat_penalty": repeat_penalty,
        "seed": seed,
    }
    options = {name: value for name, value in given.items() if value is not None}
    chosen = sum(bool(each) for each in (message, field, file))
    if chosen > 1:
        raise OptionError("--message, --field and --file each say what is answered; give one of them")
    if (output is None) != (file is None):
        raise OptionError("--output is where the answers to --file go; give both or none")
    if terminal.json and not chosen:
        raise OptionError("--json needs something to answer: --message, --field or --file")
    assistant = open_assistant(model)
    if not assistant.trained_to_chat:
        terminal.tell(
            f"{model} was not trained on conversations: it continues your text instead of answering"
        )
    if file is not None and output is not None:
        _answer_file(assistant, file, output, system, options, terminal)
        return
    session = assistant.session(system, **options)
    if not chosen:
        _talk(assistant, session, terminal)
        return
    started = time.monotonic()
    inputs: list[Any] = [_fields(field)] if field else [_message(each) for each in message or []]
    answers = [_say(assistant, session, item, terminal) for item in inputs]
    if not terminal.json:
        return
    terminal.result(
        {
            "model": str(model),
            "trained_to_chat": assistant.trained_to_chat,
            "messages": [{"role": each.role, "content": each.content} for each in session.messages],
            "answers": answers,
            "finish_reason": session.last.finish_reason,
            "tokens": session.last.tokens,
            "reused_tokens": session.last.reused,
            "seconds": round(time.monotonic() - started, 4),
        },
        "",
    )


def _message(text: str) -> str:
    if text != "-":
        return text
    import sys

    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError("standard input is not UTF-8 text; convert it, for example with iconv") from error


def _fields(given: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    wrong = next((item for item, (_, mark, _) in zip(given, pairs, strict=True) if not mark), None)
    if wrong is not None:
        raise OptionError(f"--field {wrong!r} is not NAME=VALUE; write it like title=Spring")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _say(assistant: Assistant, session: ChatSession, item: Any, terminal: Terminal) -> str:
    """Answers one input, shown as it is written; returns the answer."""
    for piece in session.reply(assistant.message(session, item)):
        terminal.write(piece)
    terminal.write("\n")
    if session.last.dropped:
        terminal.tell(
            f"the first {session.last.dropped} messages no longer fit into the context and were left out"
        )
    return session.last.text.strip()


def _talk(assistant: Assistant, session: ChatSession, terminal: Terminal) -> None:
    """Asks and answers until the end of the input."""
    columns = assistant.form.columns if assistant.form is not None else []
    if not assistant.turns:
        terminal.tell("each prompt stands alone: the model was trained on single answers")
    while True:
        item: Any
        if len(columns) > 1:
            cells = {}
            for column in columns:
                line = terminal.ask(f"{column}: ")
                if line is None:
                    return
                cells[column] = line
            item = cells
        else:
            line = terminal.ask("> ")
            if line is None:
                return
            if not line.strip():
                continue
            if line.strip() == "/new":
                session.messages = []
                continue
            item = line
        try:
            _say(assistant, session, item, terminal)
        except InputError as error:
            terminal.tell(str(error))
        except KeyboardInterrupt:
            take_interrupt()  # it has done its work
            terminal.write("\n")
            terminal.tell("broken off; the conversation is as it was before (Ctrl-D ends it)")


def _answer_file(
    assistant: Assistant,
    file: Path,
    output: Path,
    system: str | None,
    options: dict[str, Any],
    terminal: Terminal,
) -> None:
    """Answers the rows of a file into another one: their columns, with the answer behind them."""
    from wenmo.conversation.forms import MESSAGE_COLUMNS, PROMPT_COLUMNS
    from wenmo.examples import read_table
    from wenmo.progress import track
    from wenmo.tasking.batch import check_written, gather, write_rows

    check_written(output)
    table = read_table([file])
    inputs: list[Any]
    messages = next((name for name in table.columns if name.strip().lower() in MESSAGE_COLUMNS), None)
    if messages is not None:
        inputs = [row.values.get(messages) for row in table.rows]
    elif assistant.form is not None and set(assistant.form.columns) <= set(table.columns):
        inputs = [{name: row.text(name) for name in table.columns} for row in table.rows]
    else:
        inputs = [item.text for item in gather([], [file], names=PROMPT_COLUMNS)]
    if system is not None:
        options = {**options, "system": system}
    replies: list[Reply] = []
    failed = 0
    with track("answering", float(len(inputs)), "rows", terminal.progress) as bar:
        for row, item in zip(table.rows, inputs, strict=True):
            try:
                replies += assistant.answer([item], **{"seed": 0, **options})
            except InputError as error:
                failed += 1
                terminal.tell(f"{row.place}: {error}")
                replies.append(assistant.nothing)
            bar.advance()
    rows = [
        {**row.values, "answer": reply.text, "finish_reason": reply.finish_reason}
        for row, reply in zip(table.rows, replies, strict=True)
    ]
    write_rows(output, rows)
    said = f"{len(rows) - failed:,} answers in {output}" + (
        f"; {failed:,} rows could not be answered" if failed else ""
    )
    terminal.result({"output": str(output), "rows": len(rows), "failed": failed}, said)
