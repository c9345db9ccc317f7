"""The objects of the `tokenizers` library that tokenizers of each kind are made of."""

from __future__ import annotations

from collections.abc import Iterable

import tokenizers
from tokenizers import decoders, models

from .pretokenization import CHARACTER, PATTERN, byte_alphabet, split_by

END_OF_TEXT = "<|endoftext|>"
"""The special token with id 0: ends every document and stands before the first."""


def assemble(kind: str, characters: Iterable[str] = ()) -> tokenizers.Tokenizer:
    """Returns the backend of a kind with the 256 bytes as its vocabulary, and no merges yet.

    Args:
        kind: `bpe`, `char` or `byte`.
        characters: For `char`, the characters that become tokens of their own.
    """
    alphabet = byte_alphabet()
    vocabulary = {END_OF_TEXT: 0}
    for symbol in (*alphabet, *("".join(alphabet[byte] for byte in text.encode()) for text in characters)):
        vocabulary.setdefault(symbol, len(vocabulary))
    # Without merges, `ignore_merges` makes a token of every piece that is in the vocabulary as a whole: a piece
    # is one character, and one that is not there is spelled in bytes.
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=kind == "char"))
    backend.pre_tokenizer = split_by({"bpe": PATTERN, "char": CHARACTER, "byte": None}[kind])
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([END_OF_TEXT])
    return backend
