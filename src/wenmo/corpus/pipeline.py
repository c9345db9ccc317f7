"""The Daft plan: blocks from the files in, cleaned pieces out, in order, streaming, on all cores.

Reading and decoding run in the source; parsing, cleaning, hashing and counting in worker processes (the work
is Python, so threads would share one core). The source waits while more than `MAX_BLOCKS` blocks are under
way, which bounds memory whatever the size of the input.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa

from wenmo.corpus.reading import Block, Plan, blocks
from wenmo.corpus.working import counts_by_script, digest, pieces
from wenmo.interrupts import unbroken
from wenmo.text import SCRIPTS

MAX_BLOCKS = 8
PROCESS_BYTES = 8 << 20
WAIT_SECONDS = 0.002
STOP_SECONDS = 2.0
INTERRUPTED = 130

BLOCK_SCHEMA = pa.schema(
    [
        ("block", pa.int64()),
        ("file", pa.int64()),
        ("first", pa.bool_()),
        ("last", pa.bool_()),
        ("kind", pa.large_string()),
        ("line", pa.int64()),
        ("field", pa.large_string()),
        ("texts", pa.large_list(pa.large_string())),
    ]
)
PIECE_TYPE = pa.struct(
    [
        ("text", pa.large_string()),
        ("line", pa.int64()),
        ("reason", pa.large_string()),
        ("digest", pa.uint64()),
        *((name, pa.int64()) for name in SCRIPTS),
    ]
)


def import_daft() -> Any:
    """Imports Daft with its telemetry and progress bar off and the native runner on."""
    os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["SCARF_NO_ANALYTICS"] = "true"
    os.environ["DAFT_PROGRESS_BAR"] = "0"
    os.environ["DAFT_RUNNER"] = "native"
    import daft

    return daft


def _work(kind: Any, line: Any, first: Any, last: Any, field: Any, texts: Any) -> Any:
    """The user-defined function of the plan: a batch of blocks to a list of pieces for each."""
    import daft

    columns = [column.to_pylist() for column in (kind, line, first, last, texts, field)]
    rows: list[pa.Array] = []
    offsets = [0]
    for block in zip(*columns, strict=True):
        found = pieces(*block)
        kept = [piece.text for piece in found]
        scripts = counts_by_script(kept)
        fields = [
            pa.array(kept, pa.large_string()),
            pa.array([piece.line for piece in found], pa.int64()),
            pa.array([piece.reason for piece in found], pa.large_string()),
            pa.array([digest(text) for text in kept], pa.uint64()),
            *(pa.array(scripts[:, position]) for position in range(len(SCRIPTS))),
        ]
        rows.append(pa.StructArray.from_arrays(fields, fields=list(PIECE_TYPE)))
        offsets.append(offsets[-1] + len(found))
    values = pa.concat_arrays(rows) if rows else pa.array([], PIECE_TYPE)
    return daft.Series.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values))


class Gate:
    """Counts blocks handed out and finished, so that the source never runs far ahead."""

    def __init__(self) -> None:
        self.finished = 0
        self.closed = False
        self.reading = threading.Event()
        self.ended = threading.Event()

    def wait_for_source(self) -> None:
        """Waits until the source has let go, so that an interrupted interpreter can end in order."""
        if self.reading.is_set():
            self.ended.wait(STOP_SECONDS)

    async def admit(self, block: int) -> bool:
        """Waits until `block` may be handed out; False when nobody reads any more."""
        while not self.closed and block - self.finished > MAX_BLOCKS:
            await asyncio.sleep(WAIT_SECONDS)
        return not self.closed


def _all_blocks(plans: Sequence[Plan]) -> Iterator[Block]:
    for file, plan in enumerate(plans):
        if plan.encoding is None:
            continue
        try:
            yield from blocks(plan, file)
        except OSError as error:
            yield Block(file, "failed", 0, True, True, [str(error)])


def _source(daft: Any, plans: Sequence[Plan], gate: Gate) -> Any:
    from daft.io.source import DataSource, DataSourceTask
    from daft.recordbatch import RecordBatch

    schema = daft.Schema.from_pyarrow_schema(BLOCK_SCHEMA)

    def batch(number: int, block: Block) -> Any:
        plan = plans[block.file]
        row: list[Any] = [number, block.file, block.first, block.last, block.kind, block.line, plan.field]
        arrays = [
            pa.array([value], kind.type)
            for value, kind in zip([*row, block.texts], BLOCK_SCHEMA, strict=True)
        ]
        return RecordBatch.from_arrow_record_batches(
            [pa.record_batch(arrays, schema=BLOCK_SCHEMA)], BLOCK_SCHEMA
        )

    class Blocks(DataSourceTask):  # type: ignore[misc]
        """All blocks of all files, in order."""

        @property
        def schema(self) -> Any:
            return schema

        async def read(self) -> AsyncIterator[Any]:
            gate.reading.set()
            try:
                for number, block in enumerate(_all_blocks(plans), 1):
                    if not await gate.admit(number):
                        return
                    yield batch(number, block)
            finally:
                gate.ended.set()

    class Files(DataSource):  # type: ignore[misc]
        """The files as one task: their order is the order of the corpus."""

        @property
        def name(self) -> str:
            return "wenmo files"

        @property
        def schema(self) -> Any:
            return schema

        async def get_tasks(self, pushdowns: Any) -> AsyncIterator[Any]:
            yield Blocks()

    return Files().read()


@contextmanager
def interruptible(tables: Generator[pa.Table, None, None]) -> Iterator[Iterator[pa.Table]]:
    """Closes the plan at the end of the block; after Ctrl-C the process will end without teardown."""
    try:
        yield tables
    except KeyboardInterrupt:
        atexit.register(_leave)
        raise
    except Exception as error:
        with suppress(Exception):
            tables.throw(error)
        raise
    finally:
        tables.close()


def _leave() -> None:
    """Ends an interrupted process without the interpreter's teardown.

    The engine's threads outlive an interrupted plan, and the teardown would abort the process under them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def run(plans: Sequence[Plan]) -> Generator[pa.Table, None, None]:
    """Runs the plan over the files.

    Yields:
        Tables of pieces in order: file, first, last (of the block), text, line, reason ("" when kept), digest
        and the number of characters of each script. `text` is null in the one row of a block without pieces.
    """
    daft = import_daft()
    gate = Gate()
    total = sum(plan.source.path.stat().st_size for plan in plans if plan.encoding is not None)
    result = daft.DataType.from_arrow_type(pa.large_list(PIECE_TYPE))
    work = daft.func.batch(return_dtype=result, use_process=total > PROCESS_BYTES, batch_size=1)(_work)
    frame = _source(daft, plans, gate)
    names = ("kind", "line", "first", "last", "field", "texts")
    frame = frame.select(
        "block", "file", "first", "last", work(*(frame[name] for name in names)).alias("piece")
    )
    frame = frame.explode("piece")
    partitions = frame.iter_partitions(results_buffer_size=2)
    try:
        for part in unbroken(partitions):
            table = part.to_arrow()
            if not table.num_rows:
                continue
            gate.finished = max(gate.finished, int(table["block"][-1].as_py()))
            inner = table["piece"].combine_chunks()
            if isinstance(inner, pa.ChunkedArray):
                inner = pa.concat_arrays(inner.chunks)
            columns = {name: table[name] for name in ("file", "first", "last")}
            flat = inner.flatten()
            columns.update({field.name: flat[number] for number, field in enumerate(inner.type)})
            yield pa.table(columns)
    except Exception:
        # The engine must run dry: threads that outlive a plan given up half-way crash the process at its end.
        gate.closed = True
        for _ in partitions:
            pass
        raise
    finally:
        gate.closed = True
        partitions.close()
        gate.wait_for_source()
