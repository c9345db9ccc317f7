"""From the stream of pieces to a staging file of kept documents and a tally of the dropped ones."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wenmo.config import CorpusSettings
from wenmo.corpus.reading import Plan
from wenmo.progress import Progress
from wenmo.text import SCRIPTS

EXAMPLES = 5
STAGED = pa.schema(
    [
        ("document", pa.int64()),
        ("part", pa.int32()),
        ("last", pa.bool_()),
        ("file", pa.int32()),
        ("line", pa.int64()),
        ("digest", pa.uint64()),
        *((name, pa.int64()) for name in SCRIPTS),
        ("text", pa.large_string()),
    ]
)


class Seen:
    """A set of 64-bit hashes in sorted runs: 8 bytes a hash where a Python set takes 70."""

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.uint64]] = []

    def add(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Adds hashes, uint64 (N,); returns which were new, bool (N,); a repeat among them is not."""
        new = np.zeros(len(hashes), np.bool_)
        _, positions = np.unique(hashes, return_index=True)
        new[positions] = True
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            new &= run[places] != hashes
        fresh = np.sort(hashes[new])
        if len(fresh):
            self._runs.append(fresh)
            while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
                merged = np.concatenate([self._runs.pop(), self._runs.pop()])
                merged.sort(kind="stable")
                self._runs.append(merged)
        return new


class Tally:
    """Kept and dropped documents by file and reason, with a few examples of each reason."""

    def __init__(self) -> None:
        self.kept: Counter[int] = Counter()
        self.dropped: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self.examples: defaultdict[str, list[str]] = defaultdict(list)

    def drop(self, file: int, reason: str, place: str, number: int = 1) -> None:
        """Counts dropped documents; `place` says which, for the user."""
        self.dropped[file][reason] += number
        if len(self.examples[reason]) < EXAMPLES:
            self.examples[reason].append(place)

    def total(self) -> dict[str, int]:
        """Dropped documents by reason, all files together."""
        result: Counter[str] = Counter()
        for reasons in self.dropped.values():
            result.update(reasons)
        return dict(result.most_common())


class Collector:
    """Writes kept pieces to a staging file and remembers size and hash of every document.

    Attributes:
        sizes: UTF-8 bytes of each kept document.
        digests: Hash of each kept document's text.
        files: Position of the file that each kept document is from.
        chars: Characters of all kept documents.
        duplicates: Numbers of staged documents of several parts that turned out to be duplicates.
        lengths: Documents by length, see `store.Manifest.lengths`.
    """

    def __init__(self, plans: Sequence[Plan], settings: CorpusSettings, tally: Tally) -> None:
        self.sizes = array("q")
        self.digests = array("Q")
        self.files = array("i")
        self.chars = 0
        self.duplicates: set[int] = set()
        self.lengths = np.zeros(40, np.int64)
        self._plans = plans
        self._settings = settings
        self._tally = tally
        self._seen = Seen()
        self._open: list[tuple[int, int, int]] = []
        self._parts = 0

    def collect(self, tables: Iterable[pa.Table], staging: Path, progress: Progress) -> None:
        """Consumes the pipeline's tables (see `pipeline.run`)."""
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            pa.OSFile(str(staging), "wb") as file,
            pa.ipc.new_stream(file, STAGED, options=options) as writer,
        ):
            for table in tables:
                for batch in self._rows(table):
                    writer.write_batch(batch)
                progress.advance(table.nbytes)

    def _place(self, file: int, line: int) -> str:
        label = self._plans[file].source.label
        return f"{label}:{line}" if self._plans[file].source.kind not in ("text", "html") else label

    def _rows(self, table: pa.Table) -> Iterable[pa.RecordBatch]:
        table = table.filter(pc.is_valid(table["text"]))
        if not table.num_rows:
            return
        first = table["first"].to_numpy()
        last = table["last"].to_numpy()
        if (first & last).all():
            yield from self._whole(table)
            return
        for row in range(table.num_rows):
            piece = table.slice(row, 1)
            if first[row] and last[row]:
                yield from self._whole(piece)
            else:
                yield self._part(piece, bool(last[row]))

    def _columns(self, table: pa.Table) -> dict[str, Any]:
        return {name: table[name] for name in ("file", "line", "digest", *SCRIPTS, "text")}

    def _staged(self, columns: dict[str, Any], number: int) -> Iterable[pa.RecordBatch]:
        arrays = [
            columns[field.name].cast(field.type)
            if isinstance(columns[field.name], pa.ChunkedArray)
            else pa.chunked_array([pa.array(columns[field.name], field.type)])
            for field in STAGED
        ]
        table = pa.Table.from_arrays(arrays, schema=STAGED)
        assert table.num_rows == number
        yield from table.to_batches()

    def _whole(self, table: pa.Table) -> Iterable[pa.RecordBatch]:
        """Documents of one piece each, at once."""
        files = table["file"].to_numpy()
        lines = table["line"].to_numpy()
        reasons = table["reason"]
        good = pc.equal(reasons, "").to_numpy()
        chars = sum(table[name].to_numpy() for name in SCRIPTS)
        empty = good & (chars == 0)
        short = good & (chars < self._settings.min_chars) & (chars > 0)
        kept = good & ~empty & ~short
        digests = table["digest"].to_numpy()
        repeated = np.zeros(len(kept), np.bool_)
        if self._settings.deduplicate:
            positions = np.flatnonzero(kept)
            repeated[positions] = ~self._seen.add(digests[positions])
        for name, mask in (("empty", empty), ("too short", short), ("duplicate", repeated)):
            for row in np.flatnonzero(mask):
                self._tally.drop(int(files[row]), name, self._place(int(files[row]), int(lines[row])))
        for row in np.flatnonzero(~good):
            reason, _, detail = reasons[int(row)].as_py().partition(": ")
            place = self._place(int(files[row]), int(lines[row]))
            self._tally.drop(int(files[row]), reason, f"{place}: {detail}" if detail else place)
        kept &= ~repeated
        table = table.filter(pa.array(kept))
        number = table.num_rows
        if not number:
            return
        for file, count in zip(*np.unique(files[kept], return_counts=True), strict=True):
            self._tally.kept[int(file)] += int(count)
        start = len(self.sizes)
        sizes = pc.binary_length(table["text"]).to_numpy().astype(np.int64)
        self.sizes.frombytes(sizes.tobytes())
        self.digests.frombytes(digests[kept].tobytes())
        self.files.frombytes(files[kept].astype(np.int32).tobytes())
        self._count_lengths(chars[kept])
        columns = self._columns(table)
        columns["document"] = np.arange(start, start + number, dtype=np.int64)
        columns["part"] = np.zeros(number, np.int32)
        columns["last"] = np.ones(number, np.bool_)
        yield from self._staged(columns, number)

    def _part(self, table: pa.Table, last: bool) -> pa.RecordBatch:
        """One part of a document of several."""
        number = len(self.sizes)
        row = table.to_pylist()[0]
        chars = sum(row[name] for name in SCRIPTS)
        self._open.append((len(row["text"].encode("utf-8")), row["digest"], chars))
        columns = self._columns(table)
        columns.update(document=[number], part=[len(self._open) - 1], last=[last])
        batch = next(iter(self._staged(columns, 1)))
        if last:
            self._close(row["file"], row["line"])
        return batch

    def _close(self, file: int, line: int) -> None:
        number = len(self.sizes)
        size = sum(part[0] for part in self._open)
        chars = sum(part[2] for part in self._open)
        joined = b"".join(part[1].to_bytes(8, "little") for part in self._open)
        digest = np.array([int.from_bytes(blake2b(joined, digest_size=8).digest(), "little")], np.uint64)
        self._open = []
        reason = "empty" if not chars else "too short" if chars < self._settings.min_chars else ""
        if not reason and self._settings.deduplicate and not self._seen.add(digest)[0]:
            reason = "duplicate"
        self.sizes.append(size if not reason else 0)
        self.digests.append(int(digest[0]))
        self.files.append(file)
        if reason:
            self.duplicates.add(number)
            self._tally.drop(file, reason, self._place(file, line))
            return
        self._tally.kept[file] += 1
        self._count_lengths(np.array([chars]))

    def _count_lengths(self, chars: npt.NDArray[np.int64]) -> None:
        self.chars += int(chars.sum())
        bins = np.minimum(np.log2(np.maximum(chars, 1)).astype(np.int64), len(self.lengths) - 1)
        self.lengths += np.bincount(bins, minlength=len(self.lengths))
