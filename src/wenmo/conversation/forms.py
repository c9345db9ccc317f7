"""Forms: how the cells of a row become a prompt and the answer to it, such as title -> article."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wenmo.conversation.messages import Conversation, Message, Unfit, checked_turns
from wenmo.errors import InputError, OptionError

MESSAGE_COLUMNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "对话", "消息")
SYSTEM_COLUMNS = ("system", "system_prompt", "系统")
INPUT_COLUMNS = ("input", "context", "输入")
PROMPT_COLUMNS = (
    *("prompt", "instruction", "question", "query", "user", "指令", "提示", "问题", "提问", "问"),
    *("title", "headline", "标题", "题目", "keywords", "关键词", "关键字", "topic", "subject", "主题"),
    *("input", "输入", "source"),
)
ANSWER_COLUMNS = (
    *(
        "completion",
        "response",
        "answer",
        "output",
        "reply",
        "assistant",
        "回答",
        "答案",
        "回复",
        "输出",
        "答",
    ),
    *("text", "article", "content", "body", "story", "poem", "abstract", "summary", "target"),
    *("正文", "文章", "内容", "故事", "诗", "摘要"),
)
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


@dataclass(frozen=True)
class Form:
    """How a row becomes a conversation.

    Attributes:
        prompt: Template of the user's message; `{title}` stands for the cell of the column `title`, `{{` for a brace.
            A line all of whose cells are empty is left out.
        answer: Column of the answer.
        system: Template of a system message; empty for none.
    """

    prompt: str
    answer: str
    system: str = ""

    @property
    def columns(self) -> list[str]:
        """Columns of the prompt, in order."""
        return template_columns(self.prompt)

    def fill(self, cells: Mapping[str, str], place: str = "") -> Conversation:
        """Returns the conversation of a row.

        Raises:
            Unfit: When the prompt or the answer is empty.
        """
        messages = [
            Message("user", self.ask(cells)),
            Message("assistant", cells.get(self.answer, "").strip()),
        ]
        system = fill_template(self.system, cells)
        if system:
            messages.insert(0, Message("system", system))
        return Conversation(checked_turns(messages), place)

    def ask(self, cells: Mapping[str, str]) -> str:
        """Returns the prompt of a row.

        Raises:
            Unfit: When every cell of it is empty.
        """
        columns = self.columns
        if columns and not any(cells.get(column, "").strip() for column in columns):
            raise Unfit("an empty prompt")
        return fill_template(self.prompt, cells)

    def check(self, columns: Sequence[str]) -> None:
        """Refuses columns that are not there.

        Raises:
            OptionError: Naming the option.
        """
        shown = ", ".join(columns)
        named = [("--prompt", name) for name in self.columns]
        named += [("--system", name) for name in template_columns(self.system)]
        for option, name in [*named, ("--answer", self.answer)]:
            if name not in columns:
                raise OptionError(f"{option}: there is no column {name!r}; the columns are {shown}")
        if not self.columns:
            raise OptionError(
                f"--prompt {self.prompt!r} names no column; write one in braces, such as {{{columns[0]}}}"
            )
        if self.answer in self.columns:
            raise OptionError(f"--prompt: the column {self.answer!r} is the answer and cannot be asked with")


def template_columns(template: str) -> list[str]:
    """Returns the columns that a template names, each once."""
    return list(dict.fromkeys(match[1] for match in _FIELD.finditer(template) if match[1]))


def fill_template(template: str, cells: Mapping[str, str]) -> str:
    """Puts cells into a template; lines whose cells are all empty are left out, and white space around the text."""
    lines: list[str] = []
    for line in template.split("\n"):
        columns = template_columns(line)
        if columns and not any(cells.get(column, "").strip() for column in columns):
            continue
        lines.append(_FIELD.sub(lambda match: _piece(match, cells), line))
    return "\n".join(lines).strip()


def _piece(match: re.Match[str], cells: Mapping[str, str]) -> str:
    return cells.get(match[1], "").strip() if match[1] else match[0][0]


def choose_form(
    columns: Sequence[str], *, prompt: str | None = None, answer: str | None = None, system: str | None = None
) -> Form:
    """Chooses the form of a table: as the user says, else by the usual names of columns, else first and second.

    Args:
        columns: Columns of the table.
        prompt: Template, or None.
        answer: Column, or None.
        system: Template, or None.

    Raises:
        InputError: When it cannot be told what is prompt and what is answer.
        OptionError: When a named column is not there.
    """
    lowered = {column.strip().lower(): column for column in reversed(columns)}
    if answer is None:
        asked = set(template_columns(prompt or ""))
        answer = next(
            (lowered[name] for name in ANSWER_COLUMNS if lowered.get(name, "") not in {"", *asked}), None
        )
    if prompt is None:
        found = next(
            (lowered[name] for name in PROMPT_COLUMNS if lowered.get(name, "") not in ("", answer)), None
        )
        if found is not None:
            added = next(
                (lowered[n] for n in INPUT_COLUMNS if lowered.get(n, "") not in ("", answer, found)), None
            )
            prompt = f"{{{found}}}" if added is None else f"{{{found}}}\n\n{{{added}}}"
    if len(columns) == 2:  # what one of the two is not, the other is
        if prompt is None:
            prompt = f"{{{columns[1] if answer == columns[0] else columns[0]}}}"
        if answer is None:
            answer = next((column for column in columns if column not in template_columns(prompt)), None)
    if prompt is None or answer is None:
        missing = "what is asked (--prompt '{column}')" if prompt is None else "the answer (--answer COLUMN)"
        raise InputError(f"no column is known to hold {missing}; the columns are {', '.join(columns)}")
    if system is None:
        found = next((lowered[name] for name in SYSTEM_COLUMNS if name in lowered), None)
        system = "" if found is None or found in (answer, *template_columns(prompt)) else f"{{{found}}}"
    form = Form(prompt, answer, system)
    form.check(columns)
    return form
