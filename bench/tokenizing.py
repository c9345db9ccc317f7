"""Speed of training a tokenizer and of building a token stream, beside the bare `tokenizers` library.

The library's trainer is given the same text, pattern and vocabulary, and must learn the same merges. In the second half
it only encodes (`encode_batch_fast`, all documents at once), to the same ids; we also count bytes, convert the ids and
write them to disk. One round runs each once, in changing order.

    python bench/tokenizing.py TEXT...
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tokenizers
from tokenizers import trainers

from _data import read_text
from _record import record, spread
from wenmo.config import TokenizerSettings
from wenmo.tokenization import byte_pairs
from wenmo.tokenization.backend import END_OF_TEXT, assemble
from wenmo.tokenization.pretokenization import byte_alphabet
from wenmo.tokenization.stream import TokenStream
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import MAX_TOKEN_BYTES, train_tokenizer


def documents(text: str, size: int = 2000) -> list[str]:
    """Cuts a long text into documents of about `size` characters, at line ends."""
    pieces, piece, length = [], [], 0
    for line in text.splitlines(keepends=True):
        piece.append(line)
        length += len(line)
        if length >= size:
            pieces.append("".join(piece))
            piece, length = [], 0
    return [*pieces, "".join(piece)] if piece else pieces


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def by_the_library(texts: list[str], vocab_size: int) -> tokenizers.Tokenizer:
    """A tokenizer of the library's own training."""
    backend = assemble("bpe")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, special_tokens=[END_OF_TEXT, *byte_alphabet()],
        max_token_length=MAX_TOKEN_BYTES + 1, show_progress=False,
    )  # fmt: skip
    backend.train_from_iterator(texts, trainer)
    return backend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=3, help="times each text is encoded")
    arguments = parser.parse_args()
    byte_pairs.warm_up()
    rows = [measure(path, arguments.rounds, arguments.copies) for path in arguments.texts]
    least = min(min(row["training ratio"][1], row["stream ratio"][1]) for row in rows)
    record(
        "tokenizing",
        claim="A tokenizer is trained, and a stream of tokens made, at several times the speed of the tokenizers "
        "library, with the same merges and the same ids.",
        packages=("tokenizers",),
        rows=rows,
        verdict=f"At least {least:.1f} times.",
    )


def measure(path: Path, rounds: int, copies: int) -> dict[str, Any]:
    """Times both on one text, and compares what they make."""
    texts = documents(read_text(path))
    size = sum(len(text.encode()) for text in texts)
    tokenizer = train_tokenizer(texts, TokenizerSettings(), size, progress=False)
    backend, vocab_size = tokenizer.backend, tokenizer.vocab_size
    many = texts * copies
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder) / "s"
        work: dict[str, Callable[[], object]] = {
            "training": lambda: train_tokenizer(texts, TokenizerSettings(), size, progress=False),
            "training peer": lambda: by_the_library(texts, vocab_size),
            "stream": lambda: TokenStream.build(tokenizer, many, stream, progress=False),
            "stream peer": lambda: backend.encode_batch_fast(many, add_special_tokens=False),
        }
        for index in range(rounds):
            for name in sorted(work, reverse=index % 2 == 0):
                times.setdefault(name, []).append(seconds(work[name]))
        ids = np.asarray(TokenStream.open(stream).ids)
    peer = backend.encode_batch_fast(many, add_special_tokens=False)
    assert ids[ids != Tokenizer.eos_id].tolist() == [index for encoding in peer for index in encoding.ids]
    assert merges(by_the_library(texts, vocab_size)) == merges(backend)
    row: dict[str, Any] = {"text": path.name, "bytes": size, "vocab_size": vocab_size}
    for name, scale in (("training", 1), ("stream", copies)):
        for each in (name, f"{name} peer"):
            row[f"{each} MB/s"] = round(scale * size / median(times[each]) / 1e6, 2)
        row[f"{name} ratio"] = spread(
            [peer / own for own, peer in zip(times[name], times[f"{name} peer"], strict=True)]
        )
    print(json.dumps(row, ensure_ascii=False))
    return row


def merges(backend: tokenizers.Tokenizer) -> object:
    """What a BPE has learned."""
    return json.loads(backend.to_str())["model"]["merges"]


if __name__ == "__main__":
    main()
