"""Speed and memory of `prepare`, beside a plain single-threaded Python pipeline that does the same work.

Throughput is measured on a plain text file and on JSON lines, both in turn with the peer, repeated; memory on a large
text file and a large JSON lines file of `--gigabytes` in all. The text is the documentation and docstrings of this
Python, or the files given by `--text`, varied by numbering so that documents differ.

    python bench/prepare.py --gigabytes 5 --megabytes 200 --repeats 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

WENMO = """
import sys
from wenmo.corpus import prepare
corpus = prepare([sys.argv[1]], sys.argv[2], force=True, progress=False)
print(sum(corpus.bytes(split) for split in ("train", "valid", "test")))
"""


def source_text(files: list[Path]) -> str:
    """Returns a few megabytes of real text to make the inputs of."""
    if files:
        return "\n\n".join(file.read_text(encoding="utf-8") for file in files)
    import pydoc_data.topics

    library = Path(os.__file__).parent
    modules = (path.read_text(encoding="utf-8", errors="ignore") for path in sorted(library.glob("*.py")))
    return "\n\n".join([*pydoc_data.topics.topics.values(), *modules])


def write_input(path: Path, text: str, size: int) -> None:
    """Writes `size` bytes of numbered paragraphs, as plain text or JSON lines by suffix."""
    paragraphs = [text[start : start + 2000] for start in range(0, len(text), 2000)]
    written = number = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            lines = []
            for paragraph in paragraphs:
                number += 1
                body = f"{number}\n{paragraph}"
                lines.append(
                    json.dumps({"text": body}, ensure_ascii=False) if path.suffix == ".jsonl" else body + "\n"
                )
            block = "\n".join(lines) + "\n"
            written += len(block.encode("utf-8"))
            file.write(block)


def peer(path: Path, output: Path) -> None:
    """The same work in plain Python on one thread: decode, clean, drop duplicates, split by hash, write Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from wenmo.text import clean

    output.mkdir()
    schema = pa.schema([("text", pa.large_string())])
    writers = [
        pq.ParquetWriter(output / f"{name}.parquet", schema, compression="zstd", compression_level=1)
        for name in "abc"
    ]
    pending: list[list[str]] = [[], [], []]
    seen: set[bytes] = set()

    def documents():
        with path.open(encoding="utf-8") as file:
            if path.suffix == ".jsonl":
                for line in file:
                    yield json.loads(line)["text"]
            else:
                while lines := file.readlines(1 << 20):
                    yield "".join(lines)

    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    for document in documents():
        cleaned = clean(document)
        key = hashlib.blake2b(cleaned.encode("utf-8"), digest_size=16).digest()
        if key in seen:
            continue
        seen.add(key)
        part = 2 if key[0] < 13 else 1 if key[0] < 26 else 0
        pending[part].append(cleaned)
        if len(pending[part]) * len(cleaned) > 8 << 20:
            writers[part].write_table(pa.table({"text": pa.array(pending[part], pa.large_string())}))
            pending[part] = []
    for texts, writer in zip(pending, writers, strict=True):
        if texts:
            writer.write_table(pa.table({"text": pa.array(texts, pa.large_string())}))
        writer.close()


def tree_memory(root: int) -> tuple[int, int]:
    """Resident bytes of a process, and of its whole tree with each shared page counted once (PSS)."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    shared: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
            except OSError:
                continue
            parents[int(entry.name)] = int(fields["PPid"])
            resident[int(entry.name)] = int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
    members = {root}
    for _ in range(4):
        members |= {process for process, parent in parents.items() if parent in members}
    for process in members:
        try:
            rollup = (Path("/proc") / str(process) / "smaps_rollup").read_text()
        except OSError:
            continue
        shared[process] = next(
            (int(x.split()[1]) * 1024 for x in rollup.splitlines() if x.startswith("Pss:")), 0
        )
    return resident.get(root, 0), sum(shared.values())


def measure(command: list[str]) -> dict[str, float]:
    """Runs a command; returns its seconds and its peak memory."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks = [0, 0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            peaks[:] = [max(pair) for pair in zip(peaks, tree_memory(process.pid), strict=True)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    if status:
        raise SystemExit(f"{command} failed")
    return {"seconds": seconds, "peak_rss": peaks[0], "peak_rss_tree": peaks[1]}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--gigabytes", type=float, default=5.0, help="size of the memory test; 0 leaves it out"
    )
    parser.add_argument("--megabytes", type=float, default=200.0, help="size of each speed test")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="UTF-8 files to make the input of")
    parser.add_argument("--peer", nargs=2, type=Path, metavar=("INPUT", "OUTPUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(*options.peer)
        return
    from _record import record  # not above: the peer's process is timed, imports included

    text = source_text(options.text)
    result: dict[str, Any] = {"load_before": os.getloadavg()}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for suffix in (".txt", ".jsonl"):
            source = base / f"speed{suffix}"
            write_input(source, text, int(options.megabytes * 1e6))
            size = source.stat().st_size / 1e6
            rates: dict[str, list[float]] = {"wenmo": [], "peer": []}
            for repeat in range(options.repeats):
                ours = measure([sys.executable, "-c", WENMO, str(source), str(base / "corpus")])
                theirs = measure(
                    [sys.executable, __file__, "--peer", str(source), str(base / f"peer{suffix}{repeat}")]
                )
                rates["wenmo"].append(size / ours["seconds"])
                rates["peer"].append(size / theirs["seconds"])
            ratios = [a / b for a, b in zip(rates["wenmo"], rates["peer"], strict=True)]
            result[suffix[1:]] = {
                "megabytes": size,
                "wenmo_mb_per_s": rates["wenmo"],
                "peer_mb_per_s": rates["peer"],
                "median_mb_per_s": statistics.median(rates["wenmo"]),
                "ratio_median": statistics.median(ratios),
                "ratio_spread": [min(ratios), max(ratios)],
            }
            print(suffix, json.dumps(result[suffix[1:]]))
            source.unlink()
        if options.gigabytes:
            large = base / "large"
            large.mkdir()
            for suffix in (".txt", ".jsonl"):
                write_input(large / f"part{suffix}", text, int(options.gigabytes * 5e8))
            size = sum(path.stat().st_size for path in large.iterdir())
            run = measure([sys.executable, "-c", WENMO, str(large), str(base / "corpus")])
            result["large"] = {"gigabytes": size / 1e9, "mb_per_s": size / 1e6 / run["seconds"], **run}
            print("large", json.dumps(result["large"]))
    ratios = ", ".join(f"{result[kind]['ratio_median']:.2f} for {kind}" for kind in ("txt", "jsonl"))
    peak = f"; peak memory {result['large']['peak_rss_tree'] / 1e9:.2f} GB" if "large" in result else ""
    record(
        "prepare",
        claim="The memory of prepare does not grow with the text; its speed stands beside a plain Python pipeline.",
        packages=("daft", "pyarrow"),
        **result,
        verdict=f"Speed as a multiple of the plain pipeline's: {ratios}{peak}.",
    )


if __name__ == "__main__":
    main()
