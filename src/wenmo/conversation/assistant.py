"""A saved model that answers: what it was trained to be asked, and how an input becomes a message to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict

from wenmo.conversation.forms import Form, fill_template
from wenmo.conversation.messages import Unfit, parse_prompt
from wenmo.conversation.session import ChatSession
from wenmo.conversation.template import is_chat
from wenmo.errors import InputError, ModelError
from wenmo.generation.options import resolve_settings
from wenmo.models.storage import LoadedModel, load_model
from wenmo.tokenization.tokenizer import Tokenizer


class Reply(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)

    text: str
    """What was written, without white space around it."""
    finish_reason: Literal["stop", "length"]
    """`stop` when the model ended it, `length` at the limit."""
    tokens: int
    """Tokens drawn."""


class Assistant:
    """A language model directory to talk with.

    Args:
        loaded: The directory; one without a chat template continues text instead of answering.

    Attributes:
        loaded: The directory.
        form: How fields become a prompt; None when the model was trained on conversations, or on plain text.
        system: System message that all its training conversations had; "" when they differ.
        turns: Whether it has seen conversations of several turns; else each prompt stands alone.
    """

    nothing: ClassVar[Reply] = Reply(text="", finish_reason="length", tokens=0)
    """Stands for an answer that could not be given."""

    def __init__(self, loaded: LoadedModel) -> None:
        if loaded.tokenizer is None:
            raise ModelError(
                f"{loaded.directory} has no tokenizer that wenmo reads; text cannot be given to it"
            )
        self.loaded = loaded
        self.tokenizer: Tokenizer = loaded.tokenizer
        facts = loaded.info.get("chat")
        known: dict[str, Any] = facts if isinstance(facts, dict) else {}
        try:
            self.form = Form(**known["form"]) if known.get("form") else None
        except TypeError as error:
            raise ModelError(
                f"{loaded.directory}/wenmo.json is damaged: 'form'; copy the model again"
            ) from error
        self.system = str(known.get("system", ""))
        self.turns = bool(known.get("turns", True))

    @property
    def trained_to_chat(self) -> bool:
        """Whether the model was trained on conversations."""
        return is_chat(self.tokenizer)

    def session(self, system: str | None = None, **options: Any) -> ChatSession:
        """Begins a conversation.

        Args:
            system: System message; that of the training when None.
            **options: Fields of `wenmo.GenerationSettings`; those saved with the model hold for the others.

        Raises:
            OptionError: When an option is unknown, out of range or has no effect.
        """
        settings = resolve_settings(options, self.loaded.generation)
        return ChatSession(
            self.loaded.model, self.tokenizer, settings, self.system if system is None else system
        )

    def message(self, session: ChatSession, item: Any) -> str:
        """Puts an input into a session and returns the message to reply to.

        Args:
            session: The conversation; what it held is forgotten where prompts stand alone.
            item: A message; the fields of the form; or a list of messages whose last one is the user's.

        Raises:
            InputError: When it is none of these.
        """
        if isinstance(item, str | Mapping) and not self.turns:
            session.messages = []
        if isinstance(item, str) and not item.strip():
            raise InputError("the message is empty; say something")
        try:
            if isinstance(item, str):
                columns = [] if self.form is None else self.form.columns
                return item if len(columns) != 1 else self._filled(session, {columns[0]: item})
            if isinstance(item, Mapping):
                return self._filled(session, item)
            system, history, message = parse_prompt(item)
        except Unfit as reason:
            raise InputError(str(reason)) from reason
        session.system, session.messages = system or session.system, list(history)
        return message

    def _filled(self, session: ChatSession, fields: Mapping[str, Any]) -> str:
        if self.form is None:
            raise Unfit("this model was trained on conversations and has no fields; give a message")
        cells = {str(name): str(value) for name, value in fields.items() if value is not None}
        missing = [name for name in self.form.columns if name not in cells]
        if missing:
            raise Unfit(f"the field {missing[0]!r} is missing; the prompt is {self.form.prompt!r}")
        session.system = fill_template(self.form.system, cells) or session.system
        return self.form.ask(cells)

    def answer(self, inputs: Sequence[Any], system: str | None = None, **options: Any) -> list[Reply]:
        """Answers each input by itself.

        Args:
            inputs: See `message`.
            system: See `session`.
            **options: See `session`.
        """
        replies: list[Reply] = []
        session = self.session(system, **options)
        beginning = session.system
        for item in inputs:
            session.restart(beginning)
            for _ in session.reply(self.message(session, item)):
                pass
            last = session.last
            replies.append(
                Reply(text=last.text.strip(), finish_reason=last.finish_reason, tokens=last.tokens)
            )
        return replies


def open_assistant(directory: Path) -> Assistant:
    """Opens a language model directory to talk with, on CUDA where there is one.

    Raises:
        ModelError: When it holds no usable model, or one without a tokenizer.
    """
    return Assistant(load_model(directory, "cuda" if torch.cuda.is_available() else "cpu"))
