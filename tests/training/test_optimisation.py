import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wenmo.config import ModelSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model, neural_architectures
from wenmo.training.optimisation import (
    Muon,
    WeightAverage,
    build_optimizers,
    lr_factor,
    orthogonalise,
    prefers_muon,
    set_lr,
)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 48, 16), (2, 16, 40)])
def test_orthogonalised_singular_values_are_near_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.3 and values.max() < 1.4


def test_a_step_matches_torch_muon() -> None:
    torch.manual_seed(0)
    start = torch.randn(24, 40)
    gradients = [torch.randn(24, 40) for _ in range(3)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = Muon([ours], lr=0.05, momentum=0.9, weight_decay=0.1, row_memory=None)
    reference = torch.optim.Muon([theirs], lr=0.05, momentum=0.9, weight_decay=0.1, adjust_lr_fn="original")
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    # torch iterates in bfloat16 (8 bits of mantissa): its directions differ by about 1e-2 from ours in float32.
    change, wanted = ours.detach() - start, theirs.detach() - start
    assert torch.nn.functional.cosine_similarity(change.flatten(), wanted.flatten(), dim=0) > 0.999
    assert (change - wanted).norm() / wanted.norm() < 0.03


def test_split_parameters_are_several_matrices() -> None:
    torch.manual_seed(0)
    whole = nn.Parameter(torch.randn(12, 8))
    whole.muon_split = (8, 4)  # type: ignore[attr-defined]
    parts = [nn.Parameter(whole.detach()[:8].clone()), nn.Parameter(whole.detach()[8:].clone())]
    gradient = torch.randn(12, 8)
    whole.grad = gradient
    parts[0].grad, parts[1].grad = gradient[:8], gradient[8:]
    Muon([whole]).step()
    Muon(parts).step()
    torch.testing.assert_close(whole.detach(), torch.cat([p.detach() for p in parts]))


@pytest.mark.parametrize("architecture", neural_architectures())
@pytest.mark.parametrize("optimizer", ["muon", "adamw", "sgd"])
def test_groups_partition_the_parameters(architecture: str, optimizer: str) -> None:
    config = build_config(
        architecture, vocab_size=300, settings=ModelSettings(layers=2, width=32, context=16), parameters=None
    )
    model = build_model(config)
    assert isinstance(model, NeuralLanguageModel)
    optimizers = build_optimizers(model, optimizer, lr=0.1, muon_lr=0.2, weight_decay=0.3)
    grouped = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert not any(g["weight_decay"] for o in optimizers for g in o.param_groups if g["weight_decay"] != 0.3)
    set_lr(optimizers, 0.5)
    assert optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 if optimizer == "muon" else 0.05)
    assert prefers_muon(model, 100_000) and not prefers_muon(model, 60)


@pytest.mark.parametrize("architecture", neural_architectures())
@pytest.mark.parametrize("optimizer", ["muon", "adamw", "sgd"])
@pytest.mark.parametrize("tied", [True, False])
def test_tables_have_a_decay_of_their_own(architecture: str, optimizer: str, tied: bool) -> None:
    settings = ModelSettings(layers=2, width=32, context=16, tied=tied)
    model = build_model(build_config(architecture, vocab_size=300, settings=settings, parameters=None))
    assert isinstance(model, NeuralLanguageModel)
    optimizers = build_optimizers(
        model,
        optimizer,
        lr=0.1,
        muon_lr=0.2,
        weight_decay=0.3,
        tables=model.lookup_tables(),
        embedding_decay=0.7,
    )
    decays = {id(p): g["weight_decay"] for o in optimizers for g in o.param_groups for p in g["params"]}
    names = {name: decays[id(p)] for name, p in model.named_parameters()}
    assert names.pop("embedding.weight") == 0.7
    assert names.pop("output.weight", 0.7) == 0.7
    assert names.pop("bigrams.weight", 0.7) == 0.7
    assert {id(p) for p in model.matrices()} == {key for key, decay in decays.items() if decay == 0.3}
    assert all(decay == 0.0 for name, decay in names.items() if name.endswith(("norm.weight", "bias")))


@given(st.sampled_from(["wsd", "cosine", "constant"]), st.floats(0, 1), st.floats(0, 0.3), st.floats(0, 1))
def test_the_schedule_stays_between_zero_and_one(
    schedule: str, progress: float, warmup: float, decay: float
) -> None:
    assert 0.0 <= lr_factor(schedule, progress, warmup=warmup, decay=decay) <= 1.0


def test_the_schedule_by_points() -> None:
    def wsd(progress: float) -> float:
        return lr_factor("wsd", progress, warmup=0.1, decay=0.5)

    assert wsd(0.05) == pytest.approx(0.5)
    assert wsd(0.3) == 1.0
    assert wsd(0.75) == pytest.approx(0.5)
    assert wsd(1.0) == 0.0
    assert lr_factor("cosine", 1.0, warmup=0.1, decay=0.0) == pytest.approx(0.1)


def test_the_average_follows_and_swaps_back() -> None:
    layer = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(layer.weight)
    average = WeightAverage(layer, share=0.5)
    expected = 0.0
    for step in range(1, 6):
        with torch.no_grad():
            layer.weight.fill_(float(step))
        average.update()
        expected += (step - expected) / (1.0 + 0.5 * step)
    average.swap()
    torch.testing.assert_close(layer.weight.detach(), torch.full((2, 2), expected))
    average.swap()
    torch.testing.assert_close(layer.weight.detach(), torch.full((2, 2), 5.0))


def test_rows_of_a_tall_matrix_move_equally_far() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(48, 16) * torch.rand(48, 1)
    lengths = {}
    for memory in (None, 0.95):
        weight = nn.Parameter(torch.zeros(48, 16))
        weight.grad = gradient.clone()
        Muon([weight], lr=0.1, row_memory=memory).step()
        lengths[memory] = weight.detach().norm(dim=1)
    torch.testing.assert_close(lengths[0.95], torch.full((48,), 0.1), rtol=1e-4, atol=1e-6)
    assert lengths[None].std() > 0.01


def test_threads_share_the_matrices_and_change_nothing() -> None:
    torch.manual_seed(0)
    shapes = [(16, 16), (16, 16), (16, 16), (40, 16), (16, 40)]
    starts, gradients = ([torch.randn(shape) for shape in shapes] for _ in range(2))
    moved = []
    for threads in (1, 2):
        weights = [nn.Parameter(start.clone()) for start in starts]
        optimizer = Muon(weights, threads=threads)
        for _ in range(2):
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient.clone()
            optimizer.step()
        moved.append([weight.detach() for weight in weights])
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-5, atol=1e-6)
