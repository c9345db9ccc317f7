import pytest
import torch

from wenmo.models.dropout import Dropout, dropout, dropout_from


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_dropout_keeps_the_mean_and_scales_gradients_alike(p):
    torch.manual_seed(0)
    x = torch.ones(1000, 37, requires_grad=True)
    y = dropout(x, p, True)
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    assert y.mean().item() == pytest.approx(1.0, abs=0.01)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert dropout(x, p, False) is x


def test_a_generator_of_ones_own_decides_and_the_global_one_stays() -> None:
    before = torch.get_rng_state()
    x = torch.ones(100)
    drawn = []
    for _ in range(2):
        with dropout_from(torch.Generator().manual_seed(3)):
            drawn.append(Dropout(0.5)(x))
    assert torch.equal(*drawn) and torch.equal(before, torch.get_rng_state())
    assert not torch.equal(dropout(x, 0.5, True), drawn[0])
