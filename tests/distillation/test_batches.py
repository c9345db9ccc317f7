from types import SimpleNamespace

import numpy as np
import torch

from wenmo.distillation.batches import TaughtBatches
from wenmo.distillation.targets import Targets
from wenmo.training.batches import PackedBatches


def made(length=103, vocab=50):
    """A stream of documents, with targets that name at each place its own token and its own number."""
    generator = np.random.default_rng(0)
    ids = generator.integers(1, vocab, length).astype(np.uint16)
    ids[[20, 60, 102]] = 0
    stream = SimpleNamespace(ids=ids, offsets=np.array([0, 21, 61, 103]))
    top = np.stack([ids.astype(np.uint16), np.arange(length, dtype=np.uint16)], 1)
    return stream, Targets(top, np.full((length, 2), 0.25, np.float16))


def batches(seed=3):
    stream, targets = made()
    return TaughtBatches(stream, targets, context=8, rows=4, seed=seed)


def test_the_order_is_that_of_plain_batches():
    stream, _ = made()
    plain, taught = PackedBatches(stream.ids, stream.offsets, context=8, rows=4, seed=3), batches()
    for _ in range(9):
        expected, found = plain.next(), taught.next()
        assert torch.equal(expected.inputs, found.inputs) and torch.equal(expected.targets, found.targets)
        assert (expected.weights is None) == (found.weights is None)
    assert taught.epochs_done == plain.epochs_done > 2


def test_every_target_is_that_of_its_token():
    stream, _ = made()
    seen = set()
    for batch in (batches().next() for _ in range(4)):
        assert torch.equal(batch.top[..., 0], batch.targets)
        places = batch.top[..., 1].numpy()
        assert np.array_equal(stream.ids[places], batch.targets.numpy())
        seen |= set(places.ravel().tolist())
    assert len(seen) >= 32


def test_an_epoch_teaches_every_token():
    taught, seen = batches(), set()
    while taught.epochs_done < 1.0:
        batch = taught.next()
        counted = torch.ones_like(batch.targets) if batch.weights is None else batch.weights
        seen |= set(batch.top[..., 1][counted > 0].tolist())
    assert seen == set(range(103))


def test_parts_of_a_batch_keep_their_targets():
    batch = batches().next()
    parts = batch.split(3)
    assert [len(part.inputs) for part in parts] == [3, 1]
    assert torch.equal(torch.cat([part.top for part in parts]), batch.top)
    assert torch.equal(torch.cat([part.probabilities for part in parts]), batch.probabilities)
    assert batch.to(torch.device("cpu")) is batch


def test_it_goes_on_from_a_position():
    first = batches()
    for _ in range(5):
        first.next()
    second = batches()
    second.restore(first.state())
    expected, found = first.next(), second.next()
    assert torch.equal(expected.top, found.top) and torch.equal(expected.inputs, found.inputs)
