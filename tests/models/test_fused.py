import pytest
import torch

from wenmo.models import fused

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


@pytest.mark.parametrize("name", ["rms_norm", "rotate", "swiglu"])
def test_strided_inputs_and_gradients_are_accepted(name):
    wide = torch.randn(2, 3, 9, 12, **torch_double)
    x = wide[:, :, 2:6, 3:9]
    _, weight, cos, sin = inputs()
    calls = {
        "rms_norm": (lambda f: f(x, weight), lambda x, w: fused.rms_norm(x, w, 1e-6), rms_norm),
        "rotate": (lambda f: f(x, cos, sin), fused.rotate, rotate),
        "swiglu": (lambda f: f(x), fused.swiglu, swiglu),
    }
    call, ours, plain = calls[name]
    gradients = []
    for function in (ours, plain):
        out = call(function).transpose(1, 2)
        (gradient,) = torch.autograd.grad(out, wide, torch.linspace(0, 1, out.numel()).view_as(out).double())
        gradients.append(gradient)
    torch.testing.assert_close(*gradients)
