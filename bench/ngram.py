"""Bits per byte of the n-gram model beside PPMd (order 6, 256 MB), on the last tenth of each text.

Both learn from the first nine tenths. "static" leaves the n-gram model frozen; "prequential" lets it go on learning,
as PPMd always does. The texts are those that every Python ships, and the files given.
Run: python bench/ngram.py [FILE...] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import math
import pkgutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyppmd

from _record import record, spread
from wenmo.models.ngram import NgramConfig, NgramModel


def standard_texts() -> dict[str, str]:
    """Text that every Python ships: its documentation topics, and the source of its modules (1.5 MB)."""
    from pydoc_data.topics import topics

    files = sorted(module.name for module in pkgutil.iter_modules([str(Path(json.__file__).parents[1])]))
    folder = Path(json.__file__).parents[1]
    sources = [folder / f"{name}.py" for name in files if (folder / f"{name}.py").is_file()]
    source = "".join(path.read_text("utf-8", "replace") for path in sources)
    return {
        "pydoc topics": "\n".join(topics[name] for name in sorted(topics)),
        "stdlib source": source[:1_500_000],
    }


def read(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("gb18030", "replace")


def cut(text: str) -> tuple[str, str]:
    """The first nine tenths of the bytes, and the rest, at a character."""
    data = text.encode()
    at = len(data) * 9 // 10
    while data[at] & 0xC0 == 0x80:
        at += 1
    return data[:at].decode(), data[at:].decode()


def ppmd_size(data: bytes) -> int:
    encoder = pyppmd.Ppmd7Encoder(6, 256 << 20)
    return len(encoder.encode(data)) + len(encoder.flush())


def compare(text: str, repeat: int) -> dict[str, Any]:
    chars = sorted(set(text))
    index = {char: place for place, char in enumerate(chars, 1)}
    token_bytes = [b"", *(char.encode() for char in chars)]
    first, last = cut(text)
    size = len(last.encode())
    ids = [np.array([index[char] for char in part]) for part in (first, last)]
    ppmd_seconds, fit_seconds = [], []
    for _ in range(repeat):
        start = time.process_time()
        ppmd = 8 * (ppmd_size(text.encode()) - ppmd_size(first.encode())) / size
        ppmd_seconds.append(time.process_time() - start)
        model = NgramModel(NgramConfig(vocab_size=len(token_bytes)))
        start = time.process_time()
        model.fit(ids[0], token_bytes)
        fit_seconds.append(time.process_time() - start)
    static, adaptive = (
        float(model.token_nats(ids[1], 256, learn).sum()) / math.log(2) / size for learn in (False, True)
    )
    speeds = [len(first.encode()) / 1e6 / seconds for seconds in fit_seconds]
    return {
        "bytes": len(text.encode()),
        "ppmd": ppmd,
        "static": static,
        "prequential": adaptive,
        "prequential_over_ppmd": adaptive / ppmd,
        "ppmd_seconds": spread(ppmd_seconds),
        "fit_mb_per_cpu_second": spread(speeds),
        "slots": model.num_parameters(),
        "saved_mb": sum(tensor.nbytes for tensor in model.saved_tensors().values()) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="more text files, in UTF-8 or GB18030")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    texts = {path.name: read(path) for path in options.files} | standard_texts()
    warm = NgramModel(NgramConfig(vocab_size=2))
    warm.fit(np.array([1, 1]), [b"", b"a"])
    found = {name: compare(text, options.repeat) for name, text in texts.items()}
    for name, row in found.items():
        print(
            f"{name}: PPMd {row['ppmd']:.4f}, static {row['static']:.4f}, prequential {row['prequential']:.4f} "
            f"({row['prequential_over_ppmd']:.3f} of PPMd), {row['fit_mb_per_cpu_second'][1]:.2f} MB/s, "
            f"{row['saved_mb']:.1f} MB saved"
        )
    won = sum(row["prequential_over_ppmd"] <= 1 for row in found.values())
    record(
        "ngram",
        claim="The n-gram model that goes on learning needs no more bits than PPMd (order 6, 256 MB).",
        packages=("numpy", "numba", "pyppmd"),
        rows=found,
        verdict=f"No more bits than PPMd on {won} of {len(found)} texts.",
    )


if __name__ == "__main__":
    main()
