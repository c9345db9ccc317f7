"""Speed of building a token stream, beside the bare `tokenizers` library on the same text and tokenizer.

The peer only encodes (`encode_batch` and, faster, `encode_batch_fast`, all documents at once); we also count
bytes, convert the ids and write them to disk. One round runs each once, in changing order.

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

from _data import read_text
from _record import record, spread
from wenmo.config import TokenizerSettings
from wenmo.tokenization.stream import TokenStream
from wenmo.tokenization.training import train_tokenizer


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--copies", type=int, default=3, help="times each text is repeated")
    arguments = parser.parse_args()
    rows = [measure(path, arguments.rounds, arguments.copies) for path in arguments.texts]
    record(
        "tokenizing",
        claim="a token stream is built at the speed of the tokenizers library",
        packages=("tokenizers",),
        rows=rows,
    )


def measure(path: Path, rounds: int, copies: int) -> dict[str, object]:
    texts = documents(read_text(path)) * copies
    size = sum(len(text.encode()) for text in texts)
    tokenizer = train_tokenizer(
        texts[: len(texts) // copies], TokenizerSettings(), size // copies, progress=False
    )
    backend = tokenizer.backend
    times: dict[str, list[float]] = {"stream": [], "encode_batch": [], "encode_batch_fast": []}
    with tempfile.TemporaryDirectory() as folder:
        work = {
            "stream": lambda: TokenStream.build(tokenizer, texts, Path(folder) / "s", progress=False),
            "encode_batch": lambda: backend.encode_batch(texts, add_special_tokens=False),
            "encode_batch_fast": lambda: backend.encode_batch_fast(texts, add_special_tokens=False),
        }
        for each in work.values():
            each()
        for index in range(rounds):
            for name in sorted(work, reverse=index % 2 == 0):
                times[name].append(seconds(work[name]))
    row: dict[str, object] = {"text": path.name, "bytes": size, "vocab_size": tokenizer.vocab_size}
    for name, values in times.items():
        row[f"{name}_MB_per_s"] = round(size / median(values) / 1e6, 2)
    for peer in ("encode_batch", "encode_batch_fast"):
        ratios = [other / own for own, other in zip(times["stream"], times[peer], strict=True)]
        low, row[f"ratio_to_{peer}"], high = spread(ratios)
        row[f"spread_to_{peer}"] = [low, high]
    print(json.dumps(row, ensure_ascii=False))
    return row


if __name__ == "__main__":
    main()
