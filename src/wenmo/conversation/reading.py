"""From files to conversations: lists of messages, or rows that a form turns into prompt and answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wenmo.conversation.forms import MESSAGE_COLUMNS, Form, choose_form, fill_template
from wenmo.conversation.messages import Conversation, Message, Unfit, parse_messages
from wenmo.errors import InputError, OptionError
from wenmo.examples import Row, Table, read_table


@dataclass
class Conversations:
    """What was read.

    Attributes:
        found: The conversations.
        form: How rows became conversations; None for lists of messages.
        dropped: Reason -> rows left out.
        notes: What was found out, a sentence each.
    """

    found: list[Conversation]
    form: Form | None
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_conversations(
    paths: Sequence[str | Path],
    *,
    encoding: str | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    system: str | None = None,
) -> Conversations:
    """Reads conversations.

    A column named `messages` (or the like) with lists of messages decides that all files hold conversations; else a
    form takes prompt and answer from the columns.

    Args:
        paths: Files of rows (see `examples.read_table`).
        encoding: Of all text files; detected per file when not given.
        prompt: Template of the prompt, with columns in braces; guessed when not given.
        answer: Column of the answer; guessed when not given.
        system: Template of a system message for every conversation that has none.

    Raises:
        InputError: When a file cannot be read, or no conversation is left.
        OptionError: When an option names no column, or has no effect.
    """
    table = read_table(paths, encoding=encoding)
    column = _message_column(table)
    if column is not None and prompt is None and answer is None:
        form = None
        table.notes.append(f"conversations from the column {column!r}")
    else:
        form = choose_form(table.columns, prompt=prompt, answer=answer, system=system)
        shown = ", ".join(table.columns)
        said = f", system {form.system!r}" if form.system else ""
        table.notes.append(f"prompt {form.prompt!r}, answer from {form.answer!r}{said} (columns: {shown})")
    found: list[Conversation] = []
    seen: set[tuple[Message, ...]] = set()
    for row in table.rows:
        try:
            conversation = _conversation(row, column, form, table, system)
        except Unfit as reason:
            table.drop(str(reason), row.place)
            continue
        if conversation.messages in seen:
            table.drop("a repeated conversation", row.place)
            continue
        seen.add(conversation.messages)
        found.append(conversation)
    if not found:
        lost = "; ".join(f"{count} rows: {reason}" for reason, count in table.dropped.items())
        raise InputError(f"{', '.join(map(str, paths))}: no conversation with an answer is in it ({lost})")
    return Conversations(found, form, table.dropped, table.notes)


def _message_column(table: Table) -> str | None:
    lowered = {column.strip().lower(): column for column in reversed(table.columns)}
    named = next((lowered[name] for name in MESSAGE_COLUMNS if name in lowered), None)
    if named is None:
        return None
    values = [row.values[named] for row in table.rows[:200] if row.values.get(named) is not None]
    return named if any(isinstance(value, list) for value in values) else None


def _conversation(
    row: Row, column: str | None, form: Form | None, table: Table, system: str | None
) -> Conversation:
    cells = {name: row.text(name) for name in table.columns}
    if form is not None:
        return form.fill(cells, row.place)
    assert column is not None
    if column not in row.values:
        raise Unfit(f"the field {column!r} is missing")
    messages = parse_messages(row.values[column])
    if system is not None and messages[0].role != "system":
        added = fill_template(system, cells)
        if not added:
            raise OptionError(f"--system {system!r} is empty in {row.place}")
        messages = (Message("system", added), *messages)
    return Conversation(messages, row.place)
