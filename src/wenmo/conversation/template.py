"""The chat template: how a conversation becomes tokens, here and in `transformers`.

The text of a conversation is `<|endoftext|>`, then for each message the mark of its role, its content and `<|end|>`.
The template is Jinja and stands in tokenizer_config.json, where other programs look for it. A template is rendered in a
sandbox only: one from a foreign directory can compute a text and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from wenmo.conversation.messages import Message, SpeakerRole
from wenmo.errors import ModelError
from wenmo.tokenization.tokenizer import END_OF_TURN, Tokenizer

MARKS: dict[SpeakerRole, str] = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
"""Special token that begins what a role says."""
SPECIAL_TOKENS = (*MARKS.values(), END_OF_TURN)
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
LONGEST_RENDERED = 10_000_000
"""Characters; a template that makes more of a conversation is broken or hostile."""

Ids = npt.NDArray[np.int64]


def is_chat(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer has a chat template, that is, whether its model was trained on conversations."""
    return tokenizer.chat_template is not None


def chat_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Returns a tokenizer with the role marks as special tokens and the chat template.

    Raises:
        ModelError: When a mark is an ordinary token of the vocabulary.
    """
    return tokenizer.with_special_tokens(SPECIAL_TOKENS, CHAT_TEMPLATE)


def render(tokenizer: Tokenizer, messages: Sequence[Message], *, answer: bool = True) -> str:
    """Renders a conversation by the tokenizer's chat template.

    Args:
        tokenizer: A tokenizer with a chat template.
        messages: The conversation.
        answer: Whether an answer is to follow (`add_generation_prompt`).

    Raises:
        ModelError: When there is no template, it is broken, it refuses the conversation, or it tries what a sandbox
            forbids.
    """
    if tokenizer.chat_template is None:
        raise ModelError("this model has no chat template: it was not trained on conversations")
    names = list(tokenizer.special_tokens)
    try:
        text = _compiled(tokenizer.chat_template).render(
            messages=[{"role": message.role, "content": message.content} for message in messages],
            add_generation_prompt=answer,
            bos_token=names[0],
            eos_token=names[0],
            pad_token=names[0],
            tools=None,
            documents=None,
        )
    except ModelError:
        raise
    except Exception as error:  # a template is a program: it may fail in any way
        raise ModelError(f"the chat template of this model cannot be used: {error}") from error
    if len(text) > LONGEST_RENDERED:
        raise ModelError(f"the chat template of this model makes {len(text):,} characters of a conversation")
    return str(text)


def encode_chat(tokenizer: Tokenizer, messages: Sequence[Message], *, answer: bool = True) -> Ids:
    """Returns the ids of a conversation, int64 (T,), as the template says.

    The names of special tokens that the template writes become these tokens. The same names in what people say stay
    text, so that nobody can speak for another role.

    Args:
        tokenizer: A tokenizer with a chat template.
        messages: The conversation.
        answer: Whether an answer is to follow.

    Raises:
        ModelError: See `render`.
    """
    names = tokenizer.special_tokens
    pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    stand_in = _unused(messages)
    guarded = [
        Message(each.role, pattern.sub(lambda m: stand_in + m[0][1:], each.content)) for each in messages
    ]
    text = render(tokenizer, guarded, answer=answer)
    pieces: list[Ids] = []
    position = 0
    for match in pattern.finditer(text):
        pieces.append(tokenizer.encode(text[position : match.start()].replace(stand_in, "<")))
        pieces.append(np.array([names[match[0]]], np.int64))
        position = match.end()
    pieces.append(tokenizer.encode(text[position:].replace(stand_in, "<")))
    return np.concatenate(pieces)


def _unused(messages: Sequence[Message]) -> str:
    """A private-use character that stands in none of the messages."""
    said = {character for message in messages for character in message.content}
    return next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in said)


@lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # As transformers sets it up, so that a template means the same in both.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise ModelError(f"the chat template of this model is broken: {error}") from error


def _refuse(message: object) -> NoReturn:
    raise ModelError(f"the chat template of this model refuses the conversation: {message}")
