import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.training.batches import PackedBatches

EOS = 0


def stream(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([token for document in documents for token in [*document, EOS]], dtype=np.uint16)
    offsets = np.concatenate([[0], np.cumsum([len(d) + 1 for d in documents])]).astype(np.int64)
    return ids, offsets


def epoch_targets(batches: PackedBatches) -> list[int]:
    seen: list[int] = []
    while batches.epoch == 0 and batches.row < batches.rows_per_epoch:
        batch = batches.next()
        weights = np.ones(batch.targets.shape) if batch.weights is None else batch.weights.numpy()
        seen += batch.targets.numpy()[weights > 0].tolist()
    return seen


documents_strategy = st.lists(st.lists(st.integers(1, 60), min_size=0, max_size=40), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(documents_strategy, st.integers(1, 50), st.integers(0, 5))
def test_an_epoch_holds_every_token_exactly_once(documents: list[list[int]], context: int, seed: int) -> None:
    ids, offsets = stream(documents)
    batches = PackedBatches(ids, offsets, context=context, rows=1, seed=seed)
    assert sorted(epoch_targets(batches)) == sorted(ids.tolist())


@settings(max_examples=60, deadline=None)
@given(documents_strategy, st.integers(1, 50), st.integers(0, 5))
def test_each_target_follows_its_input_inside_a_document(
    documents: list[list[int]], context: int, seed: int
) -> None:
    # Make every token name its document and place, so that neighbours can be checked.
    numbered, number = [], 1
    for document in documents:
        numbered.append(list(range(number, number + len(document))))
        number += len(document)
    ids, offsets = stream(numbered)
    batches = PackedBatches(ids, offsets, context=context, rows=3, seed=seed)
    firsts = {d[0] if d else EOS for d in numbered}
    for _ in range(4):
        batch = batches.next()
        for before, after in zip(
            batch.inputs.flatten().tolist(), batch.targets.flatten().tolist(), strict=True
        ):
            if before == EOS:
                assert after in firsts
            elif after != EOS:
                assert after == before + 1


def test_epochs_differ_and_the_order_is_a_function_of_the_seed() -> None:
    ids, offsets = stream([list(range(i, i + 9)) for i in range(1, 400, 9)])

    def targets(seed: int) -> list[np.ndarray]:
        batches = PackedBatches(ids, offsets, context=16, rows=4, seed=seed)
        return [batches.next().targets.numpy() for _ in range(20)]

    first, again, other = targets(1), targets(1), targets(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert not np.array_equal(first[0], first[-1])


def test_restored_position_continues_the_same_order() -> None:
    ids, offsets = stream([list(range(1, 50)), list(range(50, 90)), [7, 8, 9]])
    whole = PackedBatches(ids, offsets, context=8, rows=3, seed=3)
    expected = [whole.next().inputs.numpy() for _ in range(12)]
    first = PackedBatches(ids, offsets, context=8, rows=3, seed=3)
    for _ in range(5):
        first.next()
    second = PackedBatches(ids, offsets, context=8, rows=3, seed=3)
    second.restore(first.state())
    for index in range(5, 12):
        assert np.array_equal(second.next().inputs.numpy(), expected[index])


def test_padding_counts_for_nothing() -> None:
    ids, offsets = stream([list(range(1, 20))])
    batches = PackedBatches(ids, offsets, context=16, rows=2, seed=0)
    batch = batches.next()
    assert batch.tokens == 20
    assert sum(part.tokens for part in batch.split(1)) == 20


def test_no_tokens_is_an_error() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        PackedBatches(np.array([], dtype=np.uint16), np.array([0]), context=4, rows=1, seed=0)
