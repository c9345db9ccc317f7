"""Conversations as tokens, and which of them are answers: only these count in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.conversation.messages import Conversation, Message
from wenmo.conversation.template import MARKS
from wenmo.progress import track
from wenmo.tokenization.tokenizer import END_OF_TURN, Tokenizer

Ids = npt.NDArray[np.int64]
AT_ONCE = 2048
"""Conversations encoded together, on all cores."""
PROMPT_SHARE = 4
"""Where an answer alone fills the context, a context divided by this is kept of what was asked."""


@dataclass(frozen=True)
class Example:
    """A conversation as tokens.

    Attributes:
        ids: Tokens, the end-of-text token first, int64 (T + 1,).
        answers: Whether each token after the first belongs to an answer (its end included), bool (T,).
        num_bytes: UTF-8 bytes of the answers' tokens.
    """

    ids: Ids
    answers: npt.NDArray[np.bool_]
    num_bytes: int

    def __len__(self) -> int:
        """Tokens that a model reads: all but the last."""
        return len(self.ids) - 1


@dataclass
class Encoded:
    """Encoded conversations.

    Attributes:
        examples: One for each conversation.
        cut: Conversations whose beginning was left out because they are longer than the context.
        cut_answers: Answers whose end was left out because they alone are longer than the context.
    """

    examples: list[Example]
    cut: int = 0
    cut_answers: int = 0


def encode_conversations(
    tokenizer: Tokenizer, conversations: Sequence[Conversation], context: int, *, progress: bool = False
) -> Encoded:
    """Encodes conversations for training by the chat template of this project.

    One that is longer than the context loses its oldest turns (never the system message), then the beginning of the
    question; an answer that is longer still loses its end.

    Args:
        tokenizer: From `template.chat_tokenizer`.
        conversations: The conversations.
        context: Most tokens that are read, at least 8.
        progress: Whether to show a progress line.
    """
    encoded = Encoded([])
    with track("tokenizing", float(len(conversations)), "conversations", progress) as bar:
        for start in range(0, len(conversations), AT_ONCE):
            part = conversations[start : start + AT_ONCE]
            contents = [message.content for each in part for message in each.messages]
            pieces = iter(tokenizer.encode_batch(contents))
            for conversation in part:
                turns = [(message, next(pieces)) for message in conversation.messages]
                encoded.examples.append(_example(tokenizer, turns, context, encoded))
            bar.advance(len(part))
    return encoded


def encode_plain(tokenizer: Tokenizer, conversations: Sequence[Conversation], context: int) -> list[Example]:
    """Encodes conversations as a model of plain text reads them: one message a line, only answers' text counts.

    Longer ones lose their beginning.
    """
    line = tokenizer.encode("\n")
    examples: list[Example] = []
    for conversation in conversations:
        ids, answers = [np.array([tokenizer.eos_id], np.int64)], [np.zeros(1, np.bool_)]
        for message in conversation.messages:
            content = tokenizer.encode(message.content)
            ids += [content, line]
            answers += [np.full(len(content), message.role == "assistant"), np.zeros(len(line), np.bool_)]
        joined, counted = np.concatenate(ids)[: -len(line)], np.concatenate(answers)[: -len(line)]
        if len(joined) > context + 1:
            joined = np.append(joined[:1], joined[-context:])
            counted = np.append(counted[:1], counted[-context:])
        lengths = tokenizer.byte_lengths[joined[1:]]
        examples.append(Example(joined, counted[1:], int(lengths[counted[1:]].sum())))
    return examples


def _example(
    tokenizer: Tokenizer, turns: list[tuple[Message, Ids]], context: int, counts: Encoded
) -> Example:
    end = tokenizer.special_tokens[END_OF_TURN]
    system = turns[:1] if turns[0][0].role == "system" else []
    spoken = turns[len(system) :]
    shortened = False
    while len(spoken) > 2 and _size(system) + _size(spoken) > context:
        spoken, shortened = spoken[2:], True
    if system and _size(system) + _size(spoken) > context:
        question = min(len(spoken[0][1]), context // PROMPT_SHARE) + 2
        if _size(system) + question + _size(spoken[1:]) > context:
            system, shortened = [], True
    room = context - _size(system) - _size(spoken)
    whole = True
    if room < 0:
        asked, answer = spoken
        kept = max(len(asked[1]) + room, min(len(asked[1]), context // PROMPT_SHARE))
        shortened = shortened or kept < len(asked[1])
        asked = (asked[0], asked[1][len(asked[1]) - kept :])
        over = _size(system) + _size([asked, answer]) - context
        if over > 0:
            answer, whole = (answer[0], answer[1][: len(answer[1]) - over]), False
            counts.cut_answers += 1
        spoken = [asked, answer]
    counts.cut += shortened
    ids: list[Ids] = [np.array([tokenizer.eos_id], np.int64)]
    answers: list[npt.NDArray[np.bool_]] = []
    for message, content in [*system, *spoken]:
        mark = tokenizer.special_tokens[MARKS[message.role]]
        ids.append(np.concatenate([[mark], content, [end]]).astype(np.int64))
        counted = np.full(len(content) + 2, message.role == "assistant")
        counted[0] = False
        answers.append(counted)
    if not whole:  # the answer goes on: its end is not learned
        answers[-1][-1] = False
    joined, counts_of = np.concatenate(ids), np.concatenate(answers)
    lengths = tokenizer.byte_lengths[joined[1:]]
    return Example(joined, counts_of, int(lengths[counts_of].sum()))


def _size(turns: Sequence[tuple[Message, Ids]]) -> int:
    """Tokens of turns: each has a mark and an end."""
    return sum(len(content) + 2 for _, content in turns)
