"""Between texts and the token ids of an encoder-decoder model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from wenmo.config import TokenizerSettings
from wenmo.seq2seq.batches import Ids, TokenPairs
from wenmo.text.scripts import is_han
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer

Direction = Literal["forward", "backward", "both"]
TAGS = 2
"""Tokens above the tokenizer's: one for each side, which a source begins with where a model translates both ways."""


class PairCodec:
    """One tokenizer for both sides, and which way is translated.

    A text that begins with a word gets a space before it, so that the word has the same token as inside a sentence.

    Args:
        tokenizer: The tokenizer.
        languages: Names of the two sides.
        direction: From the first to the second (`forward`), back, or both.
    """

    def __init__(self, tokenizer: Tokenizer, languages: tuple[str, str], direction: Direction) -> None:
        self.tokenizer = tokenizer
        self.languages = languages
        self.direction = direction

    @property
    def vocab_size(self) -> int:
        """Number of tokens of the model."""
        return self.tokenizer.vocab_size + (TAGS if self.direction == "both" else 0)

    @property
    def banned(self) -> tuple[int, ...]:
        """Tokens that no target holds."""
        return tuple(range(self.tokenizer.vocab_size, self.vocab_size))

    @property
    def backwards(self) -> tuple[bool, ...]:
        """The ways that are learned: False from the first side to the second, True back."""
        return {"forward": (False,), "backward": (True,), "both": (False, True)}[self.direction]

    def sources(self, texts: Sequence[str], backward: bool) -> list[Ids]:
        """Returns the ids of texts to translate, each with its end."""
        tag = [self.tokenizer.vocab_size + int(backward)] if self.direction == "both" else []
        return [np.concatenate((tag, ids, [0])).astype(np.int64) for ids in self.encode(texts)]

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Returns the ids of texts, without an end."""
        return self.tokenizer.encode_batch([_opened(text) for text in texts])

    def pairs(self, first: Sequence[str], second: Sequence[str]) -> TokenPairs:
        """Returns pairs of the two sides as ids, in every way that is learned."""
        sources: list[Ids] = []
        targets: list[Ids] = []
        for backward in self.backwards:
            read, written = (second, first) if backward else (first, second)
            sources += self.sources(read, backward)
            targets += self.encode(written)
        return TokenPairs(sources, targets)

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of target ids without bytes that make no whole character, as a raw model may write."""
        return self.tokenizer.decode(ids).replace("\ufffd", "").strip()


def _opened(text: str) -> str:
    return text if not text or is_han(text[0]) else " " + text


def train_codec(
    first: Sequence[str],
    second: Sequence[str],
    languages: tuple[str, str],
    direction: Direction,
    *,
    vocab_size: int | None = None,
    progress: bool = True,
) -> PairCodec:
    """Trains one tokenizer on both sides; `tokenization.training.choose_tokenizer` chooses the vocabulary's size."""
    texts = [_opened(text) for pair in zip(first, second, strict=True) for text in pair]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    tokenizer = train_tokenizer(
        texts, TokenizerSettings(kind="bpe", vocab_size=vocab_size), size, progress=progress
    )
    return PairCodec(tokenizer, languages, direction)
