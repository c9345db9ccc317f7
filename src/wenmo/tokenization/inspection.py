"""What a tokenizer does to text: its tokens in readable form, its cost by script, its coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict

from wenmo.text.scripts import SCRIPTS, script_classes

from .tokenizer import Tokenizer

SHOWN = 20
"""How many of the longest and of the most frequent tokens are listed."""


class TokenCount(BaseModel):
    """A token and how often it was used."""

    model_config = ConfigDict(frozen=True)

    id: int
    token: str
    """Readable form; see `readable`."""
    count: int


class Inspection(BaseModel):
    """How a tokenizer fits a text."""

    model_config = ConfigDict(frozen=True)

    kind: str
    vocab_size: int
    bytes: int
    """UTF-8 bytes of the text."""
    characters: int
    tokens: int
    bytes_per_token: float
    bytes_per_token_by_script: dict[str, float]
    """The same by script: each token counts for the scripts of its characters in proportion to their bytes."""
    whole_characters: float
    """Share of the characters that lie within one token, alone or with others."""
    split_characters: float
    """Share of the characters that are spread over several tokens, in bytes."""
    vocabulary_used: float
    """Share of the vocabulary that occurs in the text."""
    longest: list[TokenCount]
    """The longest tokens of the vocabulary, in characters."""
    most_frequent: list[TokenCount]
    """The tokens most often used in the text."""
    example: list[str]
    """The beginning of the text in pieces; see `segment`."""


def readable(token: bytes) -> str:
    r"""Shows the bytes of a token: white space as symbols, bytes that are no whole character as `‹E4 BD›`.

    A space is `␣`, a line end `⏎`, a tab `⇥`; other control characters are written `\x00`.
    """
    shown: list[str] = []
    rest = token
    while rest:
        try:
            shown.append(_visible(rest.decode("utf-8")))
            break
        except UnicodeDecodeError as error:
            shown.append(_visible(rest[: error.start].decode("utf-8")))
            end = error.end
            # Neighbouring broken bytes stand in one pair of marks.
            while end < len(rest) and 0x80 <= rest[end] < 0xC0:
                end += 1
            shown.append(f"‹{rest[error.start : end].hex(' ').upper()}›")
            rest = rest[end:]
    return "".join(shown)


def _visible(text: str) -> str:
    names = {" ": "␣", "\n": "⏎", "\t": "⇥", "\u3000": "□"}
    return "".join(
        names.get(c) or (c if c.isprintable() else c.encode("unicode_escape").decode("ascii")) for c in text
    )


def segment(tokenizer: Tokenizer, text: str) -> list[str]:
    """Returns the tokens of `text` in readable form."""
    return [readable(tokenizer.token_bytes[index]) for index in tokenizer.encode(text)]


def inspect_tokenizer(tokenizer: Tokenizer, texts: Iterable[str]) -> Inspection:
    """Measures a tokenizer on texts.

    Args:
        tokenizer: Any tokenizer.
        texts: Documents, streamed; none is needed for the facts about the vocabulary.
    """
    used: Counter[int] = Counter()
    script_bytes, script_tokens = np.zeros(len(SCRIPTS)), np.zeros(len(SCRIPTS))
    characters = split = 0
    example: list[str] = []
    for text in texts:
        if not text:
            continue
        example = example or segment(tokenizer, text[:120])
        ids = tokenizer.encode(text)
        used.update(ids.tolist())
        lengths = tokenizer.byte_lengths[ids]
        classes, sizes = script_classes(text), _byte_sizes(text)
        token_of_byte = np.repeat(np.arange(len(ids)), lengths)
        script_of_byte = np.repeat(classes, sizes)
        script_bytes += np.bincount(script_of_byte, minlength=len(SCRIPTS))
        script_tokens += np.bincount(script_of_byte, 1.0 / lengths[token_of_byte], len(SCRIPTS))
        ends = np.cumsum(sizes)
        split += int((token_of_byte[ends - sizes] != token_of_byte[ends - 1]).sum())
        characters += len(text)
    num_bytes, tokens = int(script_bytes.sum()), sum(used.values())
    order = sorted(range(tokenizer.vocab_size), key=lambda index: (-_width(tokenizer, index), index))
    return Inspection(
        kind=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        bytes=num_bytes,
        characters=characters,
        tokens=tokens,
        bytes_per_token=num_bytes / max(tokens, 1),
        bytes_per_token_by_script={
            name: float(script_bytes[index] / script_tokens[index])
            for index, name in enumerate(SCRIPTS)
            if script_tokens[index]
        },
        whole_characters=1 - split / max(characters, 1),
        split_characters=split / max(characters, 1),
        vocabulary_used=len(used) / tokenizer.vocab_size,
        longest=[_count(tokenizer, index, used) for index in order[:SHOWN]],
        most_frequent=[_count(tokenizer, index, used) for index, _ in used.most_common(SHOWN)],
        example=example,
    )


def render_inspection(inspection: Inspection) -> str:
    """Returns an inspection as plain text for a terminal."""
    i = inspection
    lines = [f"{i.kind} tokenizer, {i.vocab_size:,} tokens"]
    if i.tokens:
        scripts = ", ".join(f"{name} {value:.2f}" for name, value in i.bytes_per_token_by_script.items())
        lines += [
            f"text            {i.bytes:,} bytes, {i.characters:,} characters, {i.tokens:,} tokens",
            f"bytes per token {i.bytes_per_token:.2f} ({scripts})",
            f"coverage        {i.whole_characters:.2%} of the characters lie in one token, "
            f"{i.split_characters:.2%} are spelled in bytes",
            f"vocabulary      {i.vocabulary_used:.1%} of it occurs in the text",
            "",
            f"example         {'│'.join(i.example)}",
            "",
            f"most frequent   {'  '.join(f'{each.token} {each.count:,}' for each in i.most_frequent)}",
        ]
    lines.append(f"longest         {'  '.join(each.token for each in i.longest)}")
    return "\n".join(lines)


def _byte_sizes(text: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """UTF-8 bytes of every character."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return (1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)).astype(np.int64)


def _width(tokenizer: Tokenizer, index: int) -> int:
    return len(tokenizer.token_bytes[index].decode("utf-8", errors="ignore"))


def _count(tokenizer: Tokenizer, index: int, used: Counter[int]) -> TokenCount:
    return TokenCount(id=index, token=readable(tokenizer.token_bytes[index]), count=used[index])
