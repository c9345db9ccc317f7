"""From the staging file to the Parquet parts of the three splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenmo.config import CorpusSettings
from wenmo.corpus.splitting import CUT, SPLITS, cut_position, cut_targets, last_split
from wenmo.corpus.store import PartRecord, SplitRecord
from wenmo.corpus.working import counts_by_script, digest
from wenmo.text import SCRIPTS

ROW_GROUP_BYTES = 8 << 20
ROW_GROUP_ROWS = 1 << 16
PART_BYTES = 256 << 20
STORED = pa.schema(
    [
        ("document", pa.int64()),
        ("part", pa.int32()),
        ("last", pa.bool_()),
        ("source", pa.large_string()),
        ("text", pa.large_string()),
    ]
)


@dataclass
class SplitWriter:
    """Writes one split as Parquet parts of about 256 MB, in row groups of about 8 MB."""

    directory: Path
    documents: int = 0
    bytes: int = 0
    scripts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SCRIPTS), np.int64))
    hasher: Any = field(default_factory=sha256)
    samples: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.mkdir()
        self._parts: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._pending_rows = 0
        self._part_bytes = 0

    def add(self, batch: pa.RecordBatch, digests: Any, scripts: npt.NDArray[np.int64]) -> None:
        """Adds rows of the stored schema with their hashes and their characters by script."""
        last = batch["last"].to_numpy(zero_copy_only=False)
        size = int(pc.sum(pc.binary_length(batch["text"])).as_py() or 0)
        self.documents += int(last.sum())
        self.bytes += size
        self.scripts += scripts
        self.hasher.update(np.asarray(digests, np.uint64).tobytes() + last.tobytes())
        if len(self.samples) < 4:
            self.samples.append((batch["source"][0].as_py(), batch["text"][0].as_py()[:400]))
        self._pending.append(batch)
        self._pending_bytes += size
        self._pending_rows += batch.num_rows
        if self._pending_bytes >= ROW_GROUP_BYTES or self._pending_rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            path = self.directory / f"part-{len(self._parts):05d}.parquet"
            self._parts.append(path)
            self._writer = pq.ParquetWriter(
                path, STORED, compression="zstd", compression_level=1, use_dictionary=["source"]
            )
        self._writer.write_table(pa.Table.from_batches(self._pending, STORED))
        self._part_bytes += self._pending_bytes
        self._pending, self._pending_bytes, self._pending_rows = [], 0, 0
        if self._part_bytes >= PART_BYTES:
            self._end_part()

    def _end_part(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._part_bytes = None, 0

    def close(self) -> SplitRecord:
        """Writes what is pending and returns the totals."""
        self._flush()
        self._end_part()
        return SplitRecord(
            documents=self.documents,
            bytes=self.bytes,
            chars=int(self.scripts.sum()),
            scripts=dict(zip(SCRIPTS, self.scripts.tolist(), strict=True)),
            parts=[PartRecord(name=path.name, size=path.stat().st_size) for path in self._parts],
        )


class _Cutter:
    """Cuts one long document into the stretches of the splits while its parts pass by."""

    def __init__(self, size: int, settings: CorpusSettings) -> None:
        self._targets = cut_targets(size, settings)
        self._final = last_split(settings)
        bounds = [0, *(target for target, _ in self._targets), size]
        self._window = max(min(b - a for a, b in pairwise(bounds)) // 4, 1)
        self._done = 0

    @property
    def split(self) -> int:
        """The split that the text at hand belongs to."""
        return self._targets[0][1] if self._targets else self._final

    def cut(self, text: str, last: bool) -> list[tuple[int, str, bool]]:
        """Divides a part: (split, text, whether the stretch ends there)."""
        result: list[tuple[int, str, bool]] = []
        data = text.encode("utf-8")
        while self._targets and (self._targets[0][0] <= self._done + len(data) or last):
            offset = max(self._targets[0][0] - self._done, 0)
            middle = len(data[:offset].decode("utf-8", "ignore"))
            scale = max(len(data) // max(len(text), 1), 1)
            place = cut_position(text, middle, max(self._window // scale, 1))
            split = self.split
            self._targets.pop(0)
            result.append((split, text[:place], True))
            text = text[place:]
            self._done += len(data)
            data = text.encode("utf-8")
            self._done -= len(data)
        self._done += len(data)
        result.append((self.split, text, last))
        return result


class CorpusWriter:
    """Distributes staged rows over the splits."""

    def __init__(
        self,
        directory: Path,
        assignment: npt.NDArray[np.int8],
        sizes: npt.NDArray[np.int64],
        skipped: set[int],
        labels: list[tuple[str, bool]],
        settings: CorpusSettings,
    ) -> None:
        self.splits = [SplitWriter(directory / name) for name in SPLITS]
        self._assignment = assignment.copy()
        self._assignment[list(skipped)] = -1
        self._sizes = sizes
        self._labels = labels
        self._settings = settings
        self._cutter: _Cutter | None = None
        self._numbers = [0, 0, 0]

    def _sources(self, batch: pa.RecordBatch) -> pa.Array:
        files = batch["file"].to_pylist()
        lines = batch["line"].to_pylist()
        names = (
            f"{self._labels[file][0]}:{line}" if self._labels[file][1] else self._labels[file][0]
            for file, line in zip(files, lines, strict=True)
        )
        return pa.array(names, pa.large_string())

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds a batch of staged rows (see `collecting.STAGED`)."""
        splits = self._assignment[batch["document"].to_numpy()]
        if (splits == CUT).any():
            for row in range(batch.num_rows):
                if splits[row] == CUT:
                    self._cut(batch.slice(row, 1))
                elif splits[row] >= 0:
                    self._store(int(splits[row]), batch.slice(row, 1))
            return
        for split in range(len(SPLITS)):
            chosen = np.flatnonzero(splits == split)
            if len(chosen):
                self._store(split, batch if len(chosen) == batch.num_rows else batch.take(pa.array(chosen)))

    def _store(self, split: int, batch: pa.RecordBatch) -> None:
        scripts = np.array([int(pc.sum(batch[name]).as_py()) for name in SCRIPTS], np.int64)
        columns = [batch["document"], batch["part"], batch["last"], self._sources(batch), batch["text"]]
        self.splits[split].add(
            pa.RecordBatch.from_arrays(columns, schema=STORED), batch["digest"].to_numpy(), scripts
        )

    def _cut(self, row: pa.RecordBatch) -> None:
        document = row["document"][0].as_py()
        if row["part"][0].as_py() == 0:
            self._cutter = _Cutter(int(self._sizes[document]), self._settings)
            self._numbers = [0, 0, 0]
        assert self._cutter is not None
        source = self._sources(row)
        for split, text, last in self._cutter.cut(row["text"][0].as_py(), row["last"][0].as_py()):
            if not text and not (last and self._numbers[split]):
                continue
            arrays = [[document], [self._numbers[split]], [last], source, [text]]
            self._numbers[split] += 1
            batch = pa.RecordBatch.from_arrays(
                [pa.array(values, kind.type) for values, kind in zip(arrays, STORED, strict=True)],
                schema=STORED,
            )
            self.splits[split].add(batch, [digest(text)], counts_by_script([text])[0])

    def close(self) -> dict[str, SplitRecord]:
        """Ends all splits and returns their totals."""
        return {name: writer.close() for name, writer in zip(SPLITS, self.splits, strict=True)}

    def fingerprint(self) -> str:
        """Hex digest of all text written so far, with its document boundaries."""
        whole = sha256()
        for writer in self.splits:
            whole.update(writer.hasher.digest())
        return whole.hexdigest()
