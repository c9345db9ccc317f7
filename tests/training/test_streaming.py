"""Text larger than memory: what training holds of it does not grow with it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.training import batches
from wenmo.training.batches import PackedBatches
from wenmo.training.permutation import FeistelPermutation

CORPUS = 1 << 28
"""Bytes of tokens and of offsets together."""
LIMIT = 32 << 20
"""Bytes of memory that batches may take, with orders of at most `ORDERED` entries."""
ORDERED = 1 << 18


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1000), st.integers(0, 5), st.integers(0, 5))
def test_a_feistel_permutation_holds_everything_once(size: int, seed: int, epoch: int) -> None:
    order = FeistelPermutation(size, (seed, epoch))
    assert sorted(order[position] for position in range(size)) == list(range(size))


def test_a_feistel_permutation_looks_random() -> None:
    size = 1 << 16
    order = np.array([FeistelPermutation(size, (1, 2))[i] for i in range(size)])
    other = np.array([FeistelPermutation(size, (1, 3))[i] for i in range(size)])
    shuffled = np.random.default_rng(0).permutation(size)
    for found in (order, other, shuffled):
        neighbours = np.corrcoef(found[:-1], found[1:])[0, 1]
        assert abs(neighbours) < 0.02
        assert 0.9 < np.mean(np.abs(np.diff(found))) / (size / 3) < 1.1
    assert np.sum(order == other) < 12 and np.sum(order == np.arange(size)) < 12
    with pytest.raises(IndexError):
        FeistelPermutation(3, (0,))[3]


def test_many_documents_are_shuffled_in_groups_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_ORDERED", 7)
    lengths = np.random.default_rng(0).integers(1, 9, 50)
    ids = np.arange(int(lengths.sum()), dtype=np.uint32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    packed = PackedBatches(ids, offsets, context=8, rows=1, seed=0)
    orders = []
    for epoch in range(2):
        seen: list[int] = []
        while packed.epoch == epoch and packed.row < packed.rows_per_epoch:
            batch = packed.next()
            counted = np.ones(8, bool) if batch.weights is None else batch.weights.numpy()[0] > 0
            seen += batch.targets.numpy()[0][counted].tolist()
        assert sorted(seen) == ids.tolist()
        orders.append(seen)
        packed.epoch, packed.row = epoch + 1, 0
        packed._load_epoch()
    assert orders[0] != orders[1] != sorted(orders[1])


def test_memory_stays_flat_over_a_text_of_many_times_the_limit(tmp_path: Path) -> None:
    """With memory limited to a fraction of the text's tokens and offsets, batches of two epochs are read."""
    documents = CORPUS // 16  # 8 bytes of offset for every 4 tokens of 2 bytes
    with (tmp_path / "ids.bin").open("wb") as file:
        file.truncate(CORPUS // 2)
    offsets = np.lib.format.open_memmap(tmp_path / "offsets.npy", "w+", np.int64, (documents + 1,))
    for start in range(0, documents + 1, 1 << 20):
        part = offsets[start : start + (1 << 20)]
        part[:] = np.arange(start, start + len(part), dtype=np.int64) * 4
    del part, offsets
    script = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        import numpy as np, torch
        from wenmo.training import batches
        from wenmo.training.batches import PackedBatches

        batches.MOST_ORDERED = {ORDERED}

        def held():
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

        folder = Path({str(tmp_path)!r})
        ids = np.memmap(folder / "ids.bin", np.uint16, "r")
        offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        before = held()
        size = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines()
                    if line.startswith("VmData")) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (size + {LIMIT}, -1))
        packed = PackedBatches(ids, offsets, context=256, rows=16, seed=0)
        marks = []
        for epoch in range(2):
            for _ in range(100):
                packed.next()
            marks.append(held() - before)
            packed.restore({{"epoch": epoch + 1, "row": 0}})
        print(*marks)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    first, second = map(int, done.stdout.split())
    assert second < LIMIT and second - first < 8 << 20
