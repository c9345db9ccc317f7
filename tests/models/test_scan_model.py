import math

import pytest
import torch
import torch.nn.functional as F

from wenmo.config import ModelSettings
from wenmo.models.recurrent_state import SNAPSHOTS
from wenmo.models.registry import build_config, build_model
from wenmo.models.scan_config import ScanConfig
from wenmo.models.scan_model import ScanModel, count_parameters

CELLS = ["mingru", "minlstm", "rglru"]


def make(architecture="mingru", **fields):
    torch.manual_seed(0)
    shape = {"vocab_size": 13, "context_length": 16, "width": 8, "state_size": 12, "ffn": 10, "layers": 2}
    model = ScanModel(ScanConfig(architecture=architecture, **{**shape, **fields}))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model.double()


def cell_by_hand(model, layer, x):
    """The recurrence of one layer, one token and one feature map at a time, from the formulas of the papers.

    Args:
        model: The model.
        layer: Its `ScanLayer`.
        x: Normed residual stream of one row, (T, width).
    """
    config, size = model.config, model.config.state_size
    names = {"mingru": "zn", "minlstm": "fin", "rglru": "x"}[config.architecture]
    matrices = dict(zip([*names, "branch"], layer.project.weight.split(size), strict=False))

    def convolved(sequence):
        if layer.convolution is None:
            return sequence
        kernel, bias = layer.convolution.weight, layer.convolution.bias
        out = []
        for t in range(len(sequence)):
            total = bias.clone()
            for back in range(config.convolution):
                if t >= back:
                    total = total + kernel[config.convolution - 1 - back] * sequence[t - back]
            out.append(total)
        return torch.stack(out)

    u = x if config.architecture == "rglru" else convolved(x)
    values = {name: u @ matrix.T for name, matrix in matrices.items()}
    cell, h, states = layer.cell, torch.zeros(size, dtype=x.dtype), []
    if config.architecture == "rglru":
        values["x"] = convolved(values["x"])
    for t in range(len(x)):
        if config.architecture == "mingru":
            z = torch.sigmoid(values["z"][t] + cell.bias)
            h = (1 - z) * h + z * values["n"][t]
        elif config.architecture == "minlstm":
            f = torch.sigmoid(values["f"][t] + cell.bias[:size])
            i = torch.sigmoid(values["i"][t] + cell.bias[size:])
            h = f / (f + i) * h + i / (f + i) * values["n"][t]
        else:
            piece = values["x"][t].split(size // config.heads)
            blocks = cell.weight.split(size // config.heads)
            r, i = (
                torch.sigmoid(torch.cat([b @ p for b, p in zip(part, piece, strict=True)]) + bias)
                for part, bias in zip(
                    (blocks[: config.heads], blocks[config.heads :]), cell.bias.split(size), strict=True
                )
            )
            a = torch.exp(-8 * F.softplus(cell.memory) * r)
            h = a * h + torch.sqrt(1 - a**2) * i * values["x"][t]
        states.append(h)
    states = torch.stack(states)
    if config.gated:
        states = states * F.gelu(values["branch"], approximate="tanh")
    return states @ layer.out.weight.T


def by_hand(model, ids):
    x = model.embedding.weight[ids]
    for block in model.blocks:
        x = x + cell_by_hand(model, block.recurrence, block.recurrence_norm(x))
        x = x + block.ffn(block.ffn_norm(x))
    return model.final_norm(x) @ model.output_weight.T


@pytest.mark.parametrize("architecture", CELLS)
@pytest.mark.parametrize(
    "fields", [{}, {"gated": False, "convolution": 1, "tied": False}, {"convolution": 2}]
)
def test_equals_the_formulas_with_gradients(architecture, fields):
    model = make(architecture, **fields, **({"heads": 3} if architecture == "rglru" else {}))
    ids = torch.randint(0, 13, (2, 37), generator=torch.Generator().manual_seed(1))
    expected = torch.stack([by_hand(model, row) for row in ids])
    found = model.hidden(ids)[0] @ model.output_weight.T
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)
    names, weights = zip(*model.named_parameters(), strict=True)
    ours = torch.autograd.grad(found.logsumexp(-1).sum(), weights)
    theirs = torch.autograd.grad(expected.logsumexp(-1).sum(), weights)
    for name, a, b in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-7, msg=name)


@pytest.mark.parametrize("architecture", CELLS)
def test_gates_at_their_limits_give_finite_gradients(architecture):
    model = make(architecture).float()
    with torch.no_grad():
        for block in model.blocks:
            block.recurrence.cell.bias.copy_(torch.linspace(-200, 200, len(block.recurrence.cell.bias)))
    model(torch.randint(0, 13, (2, 20)))[0].logsumexp(-1).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@pytest.mark.parametrize("architecture", CELLS)
def test_steps_equal_one_pass_over_a_long_text(architecture):
    model = make(architecture).eval().float()
    ids = torch.randint(0, 13, (1, 400))
    with torch.no_grad():
        whole, state = model(ids)[0], None
        for t in range(400):
            logits, state = model(ids[:, t : t + 1], state)
            torch.testing.assert_close(logits[:, 0], whole[:, t], atol=2e-4, rtol=1e-3)
        assert len(state.past) <= SNAPSHOTS
        for length in (0, 3, 250, 399):
            back = state.truncate(torch.tensor([length]))
            torch.testing.assert_close(back.h, model(ids[:, :length])[1].h, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("architecture", CELLS)
@pytest.mark.parametrize(
    "fields",
    [{}, {"gated": False}, {"convolution": 1}, {"activation": "relu2"}, {"tied": False, "layers": 1}],
)
def test_count_and_operations_are_those_of_the_model(architecture, fields):
    model = make(architecture, **fields)
    assert count_parameters(model.config) == model.num_parameters()
    products = sum(w.numel() for w in model.matrices()) + model.output_weight.numel()
    assert model.flops_per_token(8) == model.flops_per_token(8000) == 2 * products
    for weight in model.matrices():
        assert sum(getattr(weight, "muon_split", (len(weight),))) == len(weight)


def test_initial_memories_are_those_of_the_table():
    settings = ModelSettings(width=64, layers=1, context=256)
    for architecture in CELLS:
        model = build_model(build_config(architecture, vocab_size=50, settings=settings))
        cell = model.blocks[0].recurrence.cell
        if architecture == "rglru":
            decay = torch.exp(-8 * F.softplus(cell.memory))
            torch.testing.assert_close(decay[[0, -1]], torch.tensor([0.9, 0.999]), atol=1e-4, rtol=0)
        else:
            odds = -cell.bias if architecture == "mingru" else cell.bias[:64]
            assert odds[0] == 0 and math.isclose(odds[-1].exp().item(), 256, rel_tol=1e-4)


@pytest.mark.parametrize(("architecture", "heads"), [("rglru", 5), ("mingru", 2)])
def test_heads_that_do_not_fit_are_refused(architecture, heads):
    with pytest.raises(ValueError, match="heads"):
        make(architecture, heads=heads)
