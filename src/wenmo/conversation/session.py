"""Talking with a model: history within the context, and nothing read twice that need not be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wenmo.config import GenerationSettings
from wenmo.conversation.messages import Message
from wenmo.conversation.template import encode_chat, is_chat
from wenmo.errors import InputError, OptionError
from wenmo.generation.decoding import FinishReason, read_steps
from wenmo.generation.reader import Reader, position_window
from wenmo.generation.runtime import choose_precision, decode_runtime
from wenmo.models.base import LanguageModel
from wenmo.tokenization.tokenizer import Tokenizer

Ids = npt.NDArray[np.int64]
REMEMBERED = 2048
"""Tokens of a conversation given to a model that knows no positions and could read on for ever."""


@dataclass
class Turn:
    """What happened in the last answer.

    Attributes:
        text: The answer.
        finish_reason: "stop" when the model ended it, "length" at the limit.
        tokens: Tokens drawn.
        reused: Tokens of the conversation that were not read again.
        read: Tokens that were read.
        dropped: Messages at the beginning that did not fit into the context.
    """

    text: str = ""
    finish_reason: FinishReason = "length"
    tokens: int = 0
    reused: int = 0
    read: int = 0
    dropped: int = 0


@dataclass
class ChatSession:
    """A conversation with a model.

    A model that was not trained on conversations continues the text: each message and answer is a paragraph of it.

    Attributes:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        settings: How to write; `n` and `beams` are 1.
        system: System message; empty for none.
        messages: What was said so far, the system message not included.
        last: What happened in the last answer.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    settings: GenerationSettings
    system: str = ""
    messages: list[Message] = field(default_factory=list)
    last: Turn = field(default_factory=Turn)
    _reader: Reader | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be streamed or would have no effect."""
        if self.settings.n != 1 or self.settings.beams != 1:
            raise OptionError("a conversation has one answer at a time; leave n and beams out")
        if self.system and not self.trained_to_chat:
            raise OptionError(
                "--system: this model was not trained on conversations and knows no system message"
            )
        self._runtime = decode_runtime(self.model, choose_precision(self.model, self.settings))

    @property
    def trained_to_chat(self) -> bool:
        """Whether the model was trained on conversations."""
        return is_chat(self.tokenizer)

    def restart(self, system: str, messages: Sequence[Message] = ()) -> None:
        """Begins another conversation, as a new session would."""
        self.system, self.messages = system, list(messages)
        self.last, self._reader = Turn(), None

    def reply(self, message: str) -> Iterator[str]:
        """Says something and gives the answer, never an empty one, piece by piece, in whole characters.

        Message and answer belong to the conversation once the answer is complete; one that is broken off (by Ctrl-C)
        leaves the conversation as it was.

        Args:
            message: What the user says.

        Raises:
            InputError: When the message is empty or too long for the context.
            ModelError: When the chat template cannot be used.
        """
        said = message.strip()
        if not said:
            raise InputError("the message is empty; say something")
        turns = [*self.messages, Message("user", said)]
        ids, dropped = self._fitting(turns)
        turn = Turn(dropped=dropped)
        if self._reader is None:
            self._reader = Reader(self._runtime, ids, self.tokenizer.eos_id)
        else:
            turn.reused = self._reader.move(ids)
        turn.read = len(ids) + 1 - turn.reused
        pieces: list[str] = []
        for step in read_steps(self._reader, self.tokenizer, self.settings, nonempty=True):
            turn.tokens += 1
            turn.finish_reason = step.finish_reason or "length"
            if step.text:
                pieces.append(step.text)
                yield step.text
        turn.text = "".join(pieces)
        self.messages = [*turns, Message("assistant", turn.text.strip())]
        self.last = turn

    def _fitting(self, turns: Sequence[Message]) -> tuple[Ids, int]:
        """Ids of the latest turns that leave room for an answer, and how many messages had to be left out."""
        context = position_window(self.model) or max(self.model.context_length, REMEMBERED)
        room = max(context - min(self.settings.max_tokens, context // 2) - 1, 1)
        start = 0
        while True:
            ids = self._encode(turns[start:])
            if len(ids) <= room or start + 2 >= len(turns):
                break
            start += 2
        if len(ids) > max(context - 1, room):
            raise InputError(
                f"the message has {len(ids):,} tokens and the model reads {context:,}; shorten it"
                + (" or the system message" if self.system else "")
            )
        return ids, start

    def _encode(self, turns: Sequence[Message]) -> Ids:
        """Ids without the end-of-text token at the beginning, which a reader adds."""
        if not self.trained_to_chat:
            return self.tokenizer.encode("\n".join(message.content for message in turns) + "\n")
        system = [Message("system", self.system)] if self.system else []
        ids = encode_chat(self.tokenizer, [*system, *turns])
        return ids[1:] if len(ids) and ids[0] == self.tokenizer.eos_id else ids
