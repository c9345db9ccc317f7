"""A conversation: who said what, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

SpeakerRole = Literal["system", "user", "assistant"]

ROLES: dict[str, SpeakerRole] = {
    **dict.fromkeys(("system", "developer", "系统"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "用户"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "ai", "助手"), "assistant"),
}
"""What files call a speaker, lower case -> role."""
ROLE_FIELDS, CONTENT_FIELDS = ("role", "from", "speaker"), ("content", "value", "text")


@dataclass(frozen=True)
class Message:
    """What one speaker says at a time.

    Attributes:
        role: Who speaks.
        content: What is said, without white space around it.
    """

    role: SpeakerRole
    content: str


@dataclass(frozen=True)
class Conversation:
    """Messages in order: perhaps one of the system, then user and assistant in turn; the last is an answer.

    Attributes:
        messages: The messages.
        place: File and line it was read from.
    """

    messages: tuple[Message, ...]
    place: str = ""

    @property
    def answers(self) -> list[str]:
        """What the assistant says."""
        return [message.content for message in self.messages if message.role == "assistant"]

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the last answer."""
        return self.messages[:-1]


class Unfit(ValueError):
    """A conversation that cannot be learned from; the message is the reason, the same for all of one kind."""


def parse_messages(value: Any) -> tuple[Message, ...]:
    """Reads a list of messages as it stands in JSON: `role` and `content`, or `from` and `value`.

    Questions at the end that nobody answers are left out.

    Raises:
        Unfit: When it is no conversation.
    """
    if not isinstance(value, list) or not value:
        raise Unfit("no list of messages")
    return checked_turns([_message(item) for item in value])


def parse_prompt(value: Any) -> tuple[str, tuple[Message, ...], str]:
    """Reads a list of messages whose last one waits for an answer.

    Returns:
        The system message ("" without one), the turns before the last message, and this message.

    Raises:
        Unfit: When it is no such list.
    """
    if not isinstance(value, list) or not value:
        raise Unfit("no list of messages; give a message, or messages with role and content")
    messages = [_message(item) for item in value]
    if messages[-1].role != "user":
        raise Unfit("the last message is not the user's, so there is nothing to answer")
    return split_prompt(checked_turns([*messages, Message("assistant", "?")])[:-1])


def split_prompt(messages: Sequence[Message]) -> tuple[str, tuple[Message, ...], str]:
    """Returns the system message ("" without one), the turns between, and the question at the end."""
    system = messages[0].content if messages[0].role == "system" else ""
    return system, tuple(messages[1 if system else 0 : -1]), messages[-1].content


def checked_turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Returns the messages up to the last answer.

    Raises:
        Unfit: When roles are out of order, a message is empty, or there is no answer.
    """
    turns = list(messages)
    while turns and turns[-1].role == "user":
        turns.pop()
    if not any(message.role == "assistant" for message in turns):
        raise Unfit("a conversation without an answer")
    spoken = turns[1:] if turns[0].role == "system" else turns
    expected: tuple[SpeakerRole, ...] = ("user", "assistant")
    if any(message.role != expected[index % 2] for index, message in enumerate(spoken)):
        raise Unfit("roles out of order (after a system message, user and assistant take turns)")
    for message in turns:
        if not message.content:
            raise Unfit(
                "an empty answer" if message.role == "assistant" else f"an empty {message.role} message"
            )
    return tuple(turns)


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise Unfit("a message that is not an object with role and content")
    role = next((item[name] for name in ROLE_FIELDS if name in item), None)
    content = next((item[name] for name in CONTENT_FIELDS if name in item), None)
    if not isinstance(role, str) or content is None:
        raise Unfit("a message without role or content")
    known = ROLES.get(role.strip().lower())
    if known is None:
        raise Unfit(f"an unknown role {role.strip()!r} (known: system, user, assistant)")
    return Message(known, _text(content).strip())


def _text(content: Any) -> str:
    """A string, or a list of parts that are all text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(cast(str, part["text"]) for part in content)
    raise Unfit("a message whose content is not text")
