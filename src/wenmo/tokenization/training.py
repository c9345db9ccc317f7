"""Chooses and trains the tokenizer of a corpus."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import tokenizers

from wenmo.config import TokenizerSettings
from wenmo.errors import InputError, OptionError
from wenmo.progress import Progress, duration, track
from wenmo.text.scripts import han_share

from .backend import assemble
from .pretokenization import byte_alphabet
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from .pieces import Pieces

SAMPLE_BYTES = 16_000_000
"""A larger corpus is sampled evenly down to this. Training takes about 34 bytes of memory and 0.5 us per byte of
Chinese on a slow core (560 MB and 8 s for all of this), a seventh of it for English; the merges of more text hardly
differ."""
LEAST_BYTES_PER_TOKEN = 128
"""Fewest bytes of a sample for each token of the vocabulary; with fewer, scores get worse by 0.2 % and more."""
BYTES_PER_SECOND = 2_000_000
"""Chinese that BPE is trained on in a second of one slow core."""
SAMPLED_CHARACTERS = 4096
"""A sample consists of stretches of at most this length."""
PEEK_CHARACTERS = 1_000_000
"""Text read from the beginning to learn the share of Chinese."""
MIN_CHARACTER_COUNT = 3
"""A rarer character is spelled in bytes: its embedding would be learned from one or two examples."""
MAX_TOKEN_BYTES = 24
"""Longest BPE token: eight Han characters, or a long English word; longer ones are memorised boilerplate."""
LARGEST = 65_536
SPECIALS_AND_BYTES = 257


def choose_tokenizer(
    total_bytes: int,
    chinese: float,
    settings: TokenizerSettings | None = None,
    *,
    ample: bool = False,
) -> tuple[str, int]:
    """Decides kind and vocabulary size from the size of the corpus.

    The law for BPE is 4096 * sqrt(bytes / 5e6) tokens: 1,900 at 1.1 MB, 4096 at 5 MB, 8192 at 20 MB, 18,000
    at 100 MB, within 512 and 65,536. Chinese needs a token for each frequent character, so the part of the
    text that is Chinese asks for at least min(bytes / 500, 4096). Ample time, and an output layer that is trained
    on a sample of the vocabulary, make more tokens pay: from 1.3 to 20 MB, min(bytes / 610, 8192), and for
    Chinese min(bytes / 425, 8192) (docs/lab.md, 2026-11-29).

    Args:
        total_bytes: UTF-8 bytes of the training text.
        chinese: Share of Han characters among its letters, 0 to 1.
        settings: What the user fixed.
        ample: There are minutes to train a language model of the text.

    Returns:
        Kind (`bpe`, `char` or `byte`) and vocabulary size. For `char` the size is a limit: every character
        that is frequent enough becomes a token.

    Raises:
        OptionError: When the byte tokenizer is given a vocabulary size other than its own.
    """
    settings = settings or TokenizerSettings()
    kind = "bpe" if settings.kind == "auto" else settings.kind
    if kind == "byte":
        if settings.vocab_size not in (None, SPECIALS_AND_BYTES):
            raise OptionError(
                f"a byte tokenizer has {SPECIALS_AND_BYTES} tokens; leave out --tokenizer.vocab-size"
            )
        return kind, SPECIALS_AND_BYTES
    if settings.vocab_size is not None:
        return kind, settings.vocab_size
    if kind == "char":
        return kind, LARGEST
    law = 4096 * (total_bytes / 5e6) ** 0.5
    if ample:
        law = max(law, 8192 * min(total_bytes / 5e6, 1.0))
    characters = chinese * (min(total_bytes / 425, 8192) if ample else min(total_bytes / 500, 4096))
    return kind, max(512, min(LARGEST, round(max(law, characters) / 64) * 64))


def train_tokenizer(
    texts: Iterable[str],
    settings: TokenizerSettings,
    total_bytes: int,
    *,
    seconds: float | None = None,
    ample: bool = False,
    progress: bool = True,
) -> Tokenizer:
    """Trains a tokenizer in one pass; the same texts give the same tokenizer.

    Args:
        texts: Documents, streamed.
        settings: Kind and vocabulary size; see `choose_tokenizer` for those left out.
        total_bytes: UTF-8 bytes of all texts; above `SAMPLE_BYTES` an even sample of them is used.
        seconds: Time that BPE should take on a slow core, which may make the sample smaller. It follows from this
            number alone, not from a clock, so that a repeated run has the same tokens.
        ample: See `choose_tokenizer`.
        progress: Show a progress line on stderr.

    Returns:
        The tokenizer. A small corpus may support fewer tokens than asked for.

    Raises:
        InputError: When there is no text.
        OptionError: See `choose_tokenizer`.
    """
    source = iter(texts)
    head: list[str] = []
    read = 0
    for text in source:
        head.append(text)
        read += len(text)
        if read >= PEEK_CHARACTERS:
            break
    if not read:
        raise InputError("there is no text to train a tokenizer on; give files that contain text")
    kind, vocab_size = choose_tokenizer(
        total_bytes,
        han_share("".join(text[:PEEK_CHARACTERS] for text in head)),
        settings,
        ample=ample,
    )
    if kind == "byte":
        return Tokenizer(assemble("byte"), "byte")
    if kind == "bpe":
        _load_loops(progress)
    most = SAMPLE_BYTES
    if seconds is not None and kind == "bpe":
        most = min(most, max(round(seconds * BYTES_PER_SECOND), LEAST_BYTES_PER_TOKEN * vocab_size))
    with track("training the tokenizer", min(total_bytes, most), "B", progress) as bar:
        sample = _Sample(chain(head, source), most / max(total_bytes, 1), bar)
        if kind == "char":
            return _train_characters(sample, vocab_size)
        pieces = _pieces(sample)
    return _train_bpe(pieces, sample.bytes, vocab_size, progress)


def _load_loops(progress: bool) -> None:
    """Loads the compiled loops of the tokenizer, and says what it took when they had to be compiled first."""
    from . import byte_pairs

    started = time.monotonic()
    if byte_pairs.warm_up() and progress:
        took = duration(time.monotonic() - started)
        print(
            f"tokenizer: its code was compiled, once after installation ({took}); `wenmo doctor` does so beforehand",
            file=sys.stderr,
        )


class _Sample:
    """All texts, or an evenly spread share of stretches of them; counts the bytes it gave out."""

    def __init__(self, texts: Iterable[str], share: float, bar: Progress) -> None:
        self.texts = texts
        self.share = share
        self.bar = bar
        self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        owed = 0.0
        for text in self.texts:
            length = len(text) if self.share >= 1 else SAMPLED_CHARACTERS
            for start in range(0, len(text), max(length, 1)):
                stretch = text[start : start + length]
                size = len(stretch.encode("utf-8", "replace"))
                owed += size * self.share
                if self.share >= 1 or owed >= self.bytes + size / 2:
                    self.bytes += size
                    self.bar.update(self.bytes)
                    yield stretch


def _train_characters(sample: _Sample, vocab_size: int) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in sample:
        counts.update(text)
    frequent = [c for c, n in counts.items() if n >= MIN_CHARACTER_COUNT and not c.isascii()]
    frequent.sort(key=lambda character: (-counts[character], character))
    return Tokenizer(assemble("char", frequent[: vocab_size - SPECIALS_AND_BYTES]), "char", sample.bytes)


def _pieces(sample: _Sample) -> Pieces:
    from .pieces import Pieces

    return Pieces.of(sample)


def _train_bpe(pieces: Pieces, trained_bytes: int, vocab_size: int, progress: bool) -> Tokenizer:
    from .learning import learn

    content = json.loads(assemble("bpe").to_str())
    vocabulary = content["model"]["vocab"]
    byte_ids = [vocabulary[character] for character in byte_alphabet()]
    names = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = content["model"]["merges"]
    for left, right, result in learn(pieces, byte_ids, vocab_size, MAX_TOKEN_BYTES, progress).tolist():
        name = names[left] + names[right]
        if result == len(names):
            names.append(name)
            vocabulary[name] = result
        merges.append([names[left], names[right]])
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(content)), "bpe", trained_bytes)
