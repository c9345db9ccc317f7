"""What every encoder-decoder of the registry must pass."""

import math

import numpy as np
import pytest
import torch

from wenmo.seq2seq.batches import TokenPairs, make_batch
from wenmo.seq2seq.objective import pair_loss
from wenmo.seq2seq.registry import architectures, build_model, parse_config, restore_model
from wenmo.seq2seq.search import search_all
from wenmo.training.optimisation import build_optimizers

VOCABULARY = 40
SMALL = {
    "transformer": {
        "encoder_layers": 2,
        "decoder_layers": 2,
        "width": 16,
        "heads": 2,
        "kv_heads": 2,
        "head_size": 8,
    },
    "lstm": {"layers": 2, "embedding_size": 12, "hidden_size": 16},
    "gru": {"layers": 2, "embedding_size": 12, "hidden_size": 16},
}
VARIANTS = [
    *((name, {}) for name in architectures()),
    ("transformer", {"positions": "sinusoidal", "qk_norm": False}),
    ("transformer", {"kv_heads": 1}),
    ("lstm", {"attention": "additive", "layers": 1}),
    ("gru", {"attention": "none"}),
    ("lstm", {"attention": "none", "layers": 3}),
]


def build(name, fields, dropout=0.0):
    torch.manual_seed(0)
    data = {"architecture": name, "vocab_size": VOCABULARY, "dropout": dropout, **SMALL[name], **fields}
    return build_model(parse_config(data)).eval()


@pytest.fixture(params=VARIANTS, ids=lambda v: "-".join([v[0], *(f"{k}={x}" for k, x in v[1].items())]))
def variant(request):
    return request.param


@pytest.fixture
def model(variant):
    return build(*variant)


@pytest.fixture
def texts():
    random = np.random.default_rng(1)
    rows = [random.integers(1, VOCABULARY, size) for size in (3, 7, 1, 5)]
    return TokenPairs(
        [np.append(row, 0) for row in rows], [random.integers(1, VOCABULARY, n) for n in (4, 2, 6, 1)]
    )


@torch.no_grad()
def full(model, batch, beams=1):
    state = model.start(model.encode(batch.source, batch.source_lengths), beams)
    return model.logits(model.decode(batch.inputs.repeat_interleave(beams, 0), state)[0])


def test_steps_and_chunks_predict_what_the_whole_predicts(model, texts):
    batch = make_batch(texts, range(4))
    whole = full(model, batch)
    with torch.no_grad():
        for size in (1, 3):
            state = model.start(model.encode(batch.source, batch.source_lengths))
            parts = []
            for start in range(0, batch.inputs.shape[1], size):
                hidden, state = model.decode(batch.inputs[:, start : start + size], state)
                parts.append(model.logits(hidden))
            torch.testing.assert_close(torch.cat(parts, 1), whole, atol=2e-5, rtol=1e-4)
            assert (state.lengths == batch.inputs.shape[1]).all()


def test_padding_and_neighbours_change_nothing(model, texts):
    batch = make_batch(texts, range(4))
    together = full(model, batch)
    for row in range(4):
        alone = make_batch(texts, [row])
        expected = full(model, alone)
        torch.testing.assert_close(
            together[row : row + 1, : expected.shape[1]], expected, atol=2e-5, rtol=1e-4
        )
    noise = torch.where(
        torch.arange(batch.source.shape[1])[None] < batch.source_lengths[:, None], batch.source, 9
    )
    filled = type(batch)(
        noise, *(getattr(batch, n) for n in ("source_lengths", "inputs", "outputs", "weights", "tokens"))
    )
    torch.testing.assert_close(full(model, filled), together, atol=0, rtol=0)


def test_the_source_matters_and_later_targets_do_not(model, texts):
    batch = make_batch(texts, range(4))
    other = make_batch(TokenPairs([s[::-1].copy() for s in texts.sources], texts.targets), range(4))
    assert not torch.allclose(full(model, batch)[1], full(model, other)[1], atol=1e-4)
    changed = batch.inputs.clone()
    changed[:, -1] = 5
    whole = full(
        model, type(batch)(batch.source, batch.source_lengths, changed, batch.outputs, batch.weights, 1)
    )
    torch.testing.assert_close(whole[:, :-1], full(model, batch)[:, :-1], atol=0, rtol=0)


def test_selected_rows_go_on_as_they_were(model, texts):
    batch = make_batch(texts, range(4))
    whole = full(model, batch)
    with torch.no_grad():
        for beams, rows in ((1, [2, 0]), (2, [0, 0, 3, 2, 7, 6]), (2, [5, 4, 4, 1]), (2, list(range(8)))):
            state = model.start(model.encode(batch.source, batch.source_lengths), beams)
            inputs = batch.inputs.repeat_interleave(beams, 0)
            _, state = model.decode(inputs[:, :2], state)
            chosen = torch.tensor(rows)
            hidden, _ = model.decode(inputs[chosen, 2:], state.select(chosen))
            expected = whole.repeat_interleave(beams, 0)[chosen, 2:]
            torch.testing.assert_close(model.logits(hidden), expected, atol=2e-5, rtol=1e-4)


def test_every_parameter_gets_a_gradient(model, texts):
    pair_loss(model.train(), make_batch(texts, range(4)), 0.1).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_saved_model_is_the_same_to_the_bit(model, texts):
    tensors = {name: tensor.clone() for name, tensor in model.saved_tensors().items()}
    copy = restore_model(parse_config(model.config.model_dump(mode="json")), tensors).eval()
    batch = make_batch(texts, range(4))
    torch.testing.assert_close(full(copy, batch), full(model, batch), atol=0, rtol=0)
    tensors.popitem()
    with pytest.raises(ValueError, match="missing"):
        restore_model(model.config, tensors)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_steps_lower_the_loss(variant, texts, optimizer):
    model = build(*variant, dropout=0.1).train()
    batch = make_batch(texts, range(4))
    before = pair_loss(model.eval(), batch).item()
    optimizers = build_optimizers(model.train(), optimizer, lr=1e-3, muon_lr=0.01, weight_decay=0.0)
    for _ in range(5):
        pair_loss(model, batch).backward()
        for one in optimizers:
            one.step()
            one.zero_grad()
    assert pair_loss(model.eval(), batch).item() < before


def test_a_beam_of_one_is_greedy(model, texts):
    found = dict(search_all(model, texts.sources, ratio=1.0, beams=1, length_penalty=1.0))
    for number, source in enumerate(texts.sources):
        ids = [0]
        with torch.no_grad():
            for _ in range(len(source) + 10):
                memory = model.encode(torch.tensor(source)[None], torch.tensor([len(source)]))
                logits = model.logits(model.decode(torch.tensor([ids]), model.start(memory))[0])[0, -1]
                if len(ids) == 1:
                    logits[0] = -math.inf
                ids.append(int(logits.argmax()))
                if ids[-1] == 0:
                    break
        assert list(found[number][0].tokens) == [token for token in ids if token]
        assert found[number][0].complete == (ids[-1] == 0)


def test_attention_weights_are_a_distribution_over_the_source(variant, model, texts):
    batch = make_batch(texts, range(4))
    with torch.no_grad():
        weights = model.attention(batch.source, batch.source_lengths, batch.inputs)
    if variant[1].get("attention") == "none":
        assert weights is None
        return
    assert weights.shape == (4, batch.inputs.shape[1], batch.source.shape[1])
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    for row, length in enumerate(batch.source_lengths.tolist()):
        assert (weights[row, :, length:] == 0).all()


def test_operations_grow_with_lengths(model):
    assert 0 < model.flops_per_pair(5, 5) < model.flops_per_pair(10, 5) < model.flops_per_pair(10, 10)
