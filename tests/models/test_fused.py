from contextlib import nullcontext

import numba as nb
import pytest
import torch

from wenmo.models import fused, loops, scan_cells
from wenmo.models.layers import FeedForward
from wenmo.models.loop_dispatch import LEAST_NUMBERS, array, compiles, parts
from wenmo.models.low_precision import LowPrecisionProducts

torch_double = {"dtype": torch.float64, "requires_grad": True}


def rms_norm(x, weight):
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    pairs = torch.complex(first, second) * torch.complex(cos, sin)
    return torch.cat((pairs.real, pairs.imag), -1)


def swiglu(hidden):
    gate, up = hidden.chunk(2, -1)
    return gate * torch.sigmoid(gate) * up


def gelu(hidden, bias=0.0):
    return torch.nn.functional.gelu(hidden + bias, approximate="tanh")


def inputs():
    x = torch.randn(2, 3, 4, 6, **torch_double)
    weight = torch.randn(6, **torch_double)
    angles = torch.randn(3, 1, 3, dtype=torch.float64)
    return x, weight, angles.cos(), angles.sin()


def test_values_are_those_of_the_formulas_with_and_without_gradients():
    x, weight, cos, sin = inputs()
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            torch.testing.assert_close(fused.rms_norm(x, weight, 1e-6), rms_norm(x, weight))
            torch.testing.assert_close(fused.rotate(x, cos, sin), rotate(x, cos, sin))
            torch.testing.assert_close(fused.swiglu(x), swiglu(x))


def test_gradients_by_hand_are_the_numerical_ones():
    x, weight, cos, sin = inputs()
    assert torch.autograd.gradcheck(lambda x, w: fused.rms_norm(x, w, 1e-6), (x, weight))
    assert torch.autograd.gradcheck(lambda x: fused.rotate(x, cos, sin), (x,))
    assert torch.autograd.gradcheck(fused.swiglu, (x,))


@pytest.mark.parametrize("name", ["rms_norm", "rotate", "swiglu", "gelu"])
def test_strided_inputs_and_gradients_are_accepted(name):
    wide = torch.randn(2, 3, 9, 12, **torch_double)
    x = wide[:, :, 2:6, 3:9]
    _, weight, cos, sin = inputs()
    calls = {
        "rms_norm": (lambda f: f(x, weight), lambda x, w: fused.rms_norm(x, w, 1e-6), rms_norm),
        "rotate": (lambda f: f(x, cos, sin), fused.rotate, rotate),
        "swiglu": (lambda f: f(x), fused.swiglu, swiglu),
        "gelu": (lambda f: f(x), fused.gelu, gelu),
    }
    call, ours, plain = calls[name]
    gradients = []
    for function in (ours, plain):
        out = call(function).transpose(1, 2)
        (gradient,) = torch.autograd.grad(out, wide, torch.linspace(0, 1, out.numel()).view_as(out).double())
        gradients.append(gradient)
    torch.testing.assert_close(*gradients)


def gated(projected, bias, before):
    """Plain steps of minGRU and its branch."""
    size, states = len(bias), []
    for z, n in zip(projected[..., :size], projected[..., size : 2 * size], strict=True):
        decay = torch.sigmoid(-(z + bias))
        before = decay * before + (1.0 - decay) * n
        states.append(before)
    states = torch.stack(states)
    if projected.shape[2] == 2 * size:
        return states, states
    return states, states * torch.nn.functional.gelu(projected[..., 2 * size :], approximate="tanh")


SINGLE = {
    "rms_norm": (lambda x, w: fused.rms_norm(x, w, 1e-6), rms_norm, [(3, 5, 17), (17,)]),
    "swiglu": (fused.swiglu, swiglu, [(3, 5, 34)]),
    "gelu": (fused.gelu, gelu, [(3, 5, 17)]),
    "gelu with a bias": (fused.gelu, gelu, [(3, 5, 17), (17,)]),
    "gated": (fused.gated_recurrence, gated, [(9, 4, 51), (17,), (4, 17)]),
    "without a branch": (fused.gated_recurrence, gated, [(9, 4, 34), (17,), (4, 17)]),
    "one step": (fused.gated_recurrence, gated, [(1, 4, 51), (17,), (4, 17)]),
    "convolution": (
        lambda *inputs: scan_cells._Convolve.apply(*inputs),
        lambda padded, w, b: b + sum(padded[i : i + len(padded) - len(w) + 1] * w[i] for i in range(len(w))),
        [(12, 5, 17), (4, 17), (17,)],
    ),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", SINGLE)
def test_compiled_loops_are_the_formulas(name, threads, monkeypatch):
    """In float32, with one thread and with rows divided over several, values and gradients are those in float64."""
    ours, plain, shapes = SINGLE[name]
    for module in (fused, scan_cells):
        monkeypatch.setattr(module, "parts", lambda rows, numbers: min(threads, rows))
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(shape, generator=generator, dtype=torch.float64).mul_(3.0).requires_grad_()
        for shape in shapes
    ]
    single = [x.detach().float().requires_grad_() for x in inputs]
    assert compiles(*single) and not compiles(*inputs)
    found, wanted = ours(*single), plain(*inputs)
    pairs = [(found, wanted)] if isinstance(found, torch.Tensor) else list(zip(found, wanted, strict=True))
    for chosen in range(len(pairs)):  # the gradient of each result alone, then of all
        for judged in ([pairs[chosen]], pairs):
            weights = [torch.linspace(-1, 1, w.numel(), dtype=torch.float64).view_as(w) for _, w in judged]
            sums = [
                sum((x.double() * w).sum() for x, w in zip(side, weights, strict=True))
                for side in zip(*judged, strict=True)
            ]
            for single_one, double_one in zip(
                torch.autograd.grad(sums[0], single, retain_graph=True, allow_unused=True),
                torch.autograd.grad(sums[1], inputs, retain_graph=True, allow_unused=True),
                strict=True,
            ):
                torch.testing.assert_close(single_one.double(), double_one, rtol=2e-5, atol=2e-4)
    for x, w in pairs:
        torch.testing.assert_close(x.double(), w, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["rms_norm", "swiglu", "gelu with a bias"])
def test_nothing_is_read_of_nothing(name):
    ours, _, shapes = SINGLE[name]
    inputs = [torch.zeros(2, 0, shapes[0][-1]), *(torch.ones(shape) for shape in shapes[1:])]
    assert ours(*inputs).shape[:2] == (2, 0)


def test_a_gate_is_shut_or_open_without_overflow():
    extreme = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4]).repeat(2, 1).requires_grad_()
    hidden = torch.cat([extreme, torch.ones_like(extreme)], 1)
    out = fused.swiglu(hidden)
    (gradient,) = torch.autograd.grad(out.sum(), extreme)
    assert torch.isfinite(out).all() and torch.isfinite(gradient).all()
    torch.testing.assert_close(out, torch.nn.functional.silu(extreme))


@pytest.mark.skipif(torch.get_num_threads() < 2, reason="one core")
def test_large_parts_are_divided_and_small_ones_are_not():
    assert parts(1000, LEAST_NUMBERS - 1) == 1
    assert parts(1000, 100 * LEAST_NUMBERS) == torch.get_num_threads()
    assert parts(1, 100 * LEAST_NUMBERS) == 1


@pytest.mark.parametrize("name", ["swiglu", "gelu", "gelu with a bias", "gated", "without a branch"])
def test_what_stands_between_products_may_be_in_bfloat16(name):
    """Results and gradients are those of the same numbers in float64, each rounded once."""
    ours, plain, shapes = SINGLE[name]
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=generator) for shape in shapes]
    low = [given[0].bfloat16().requires_grad_(), *(x.requires_grad_() for x in given[1:])]
    exact = [x.detach().double().requires_grad_() for x in low]
    found, wanted = ours(*low), plain(*exact)
    if isinstance(found, tuple):
        assert found[0].dtype == torch.float32
        found, wanted = found[1], wanted[1]
    assert found.dtype == (torch.float32 if name == "without a branch" else torch.bfloat16)
    gradients = torch.autograd.grad(found.float().sum(), low), torch.autograd.grad(wanted.sum(), exact)
    for single, double in zip((found, *gradients[0]), (wanted, *gradients[1]), strict=True):
        torch.testing.assert_close(single.double(), double, rtol=2**-8, atol=1e-4)


@nb.njit
def round_all(numbers, out):
    for i in range(len(numbers)):
        out[i] = loops._rounded(out[i], numbers[i])


def test_bfloat16_is_rounded_as_pytorch_rounds_it():
    generator = torch.Generator().manual_seed(0)
    powers = torch.randn(10_000, generator=generator).mul_(20.0).exp_()
    halves = torch.arange(1.0, 2.0, 2.0**-8)  # every second one lies between two numbers of bfloat16
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 3.39e38, 1e-45])
    numbers = torch.cat([powers, -powers, halves, -halves, special])
    out = torch.empty(len(numbers), dtype=torch.bfloat16)
    round_all(numbers.numpy(), array(out))
    torch.testing.assert_close(out, numbers.bfloat16(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("low", [False, True])
def test_a_feed_forward_network_leaves_its_bias_to_the_loop(low):
    """Values and gradients are those of PyTorch's own layers, in bfloat16 to its precision."""
    torch.manual_seed(0)
    network = FeedForward(8, 24, "gelu", bias=True)
    torch.nn.init.normal_(network.up.bias)
    x = torch.randn(5, 8)
    with LowPrecisionProducts() if low else nullcontext():
        found = network(x)
    plain = network.down(torch.nn.functional.gelu(network.up(x), approximate="tanh"))
    gradients = [torch.autograd.grad(y.square().sum(), list(network.parameters())) for y in (found, plain)]
    tolerance = {"rtol": 0.05, "atol": 0.05} if low else {}
    torch.testing.assert_close(found, plain, **tolerance)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)
