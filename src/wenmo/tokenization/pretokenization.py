"""How text is cut into pieces before merges are learned; a token never crosses a border between pieces."""

from __future__ import annotations

from tokenizers import Regex, pre_tokenizers

_JOINS_SPACE = r"[^\s\p{Han}\p{N}]"

PATTERN = "|".join(
    (
        # The ending of an English contraction: it's, we'll.
        r"['’](?i:s|t|re|ve|m|ll|d)(?!\p{L})",
        # A word of any script but Han, with the space before it.
        r" ?(?:(?!\p{Han})[\p{L}\p{M}])+",
        # A run of Han characters: words of several characters are learned inside it.
        r"\p{Han}+",
        # Digits by threes at most, so that numbers are composed instead of memorised.
        r"\p{N}{1,3}",
        # Line ends with the indentation after them, but for the space that belongs to the next word.
        r"\s*[\r\n]+(?:[^\S\r\n]*(?= " + _JOINS_SPACE + r")|[^\S\r\n]*)",
        # Punctuation and symbols, Chinese or not, apart from the words around them.
        r" ?[^\s\p{L}\p{M}\p{N}]+",
        # Blanks inside a line, again without the space of the next word.
        r"[^\S\r\n]+(?= " + _JOINS_SPACE + r")",
        r"\s+",
    )
)
"""Pieces for BPE. The usual patterns cut at `\\p{L}+`, which makes one "word" of a whole Chinese clause and of
the Latin letters beside it; here Han runs stand apart, and so does the punctuation after them."""

CHARACTER = r"[\s\S]"
"""One character (code point), line ends included."""


def split_by(pattern: str | None) -> pre_tokenizers.PreTokenizer:
    """Returns a pre-tokenizer that cuts at `pattern` (None: nowhere) and writes bytes as visible characters."""
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if pattern is None:
        return as_bytes
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior="isolated"), as_bytes])


def byte_alphabet() -> list[str]:
    """Returns the visible character that stands for each byte 0..255 in the files of byte-level tokenizers.

    The mapping is GPT-2's: printable Latin-1 characters stand for themselves, the other bytes take the code
    points from 256 on, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in set(printable))
    code = {byte: byte for byte in printable} | {byte: 256 + index for index, byte in enumerate(others)}
    return [chr(code[byte]) for byte in range(256)]
