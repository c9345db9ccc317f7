import pytest

from wenmo.config import ModelSettings, TrainingSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model
from wenmo.training import hardware
from wenmo.training.budget import resolve_plan
from wenmo.training.memory import KEPT_FOR_A_THREAD, fitted, memory_advice, training_memory
from wenmo.training.plan import TrainingPlan


def model_of(layers: int) -> NeuralLanguageModel:
    settings = ModelSettings(layers=layers, width=16, heads=2, context=8)
    model = build_model(build_config("transformer", vocab_size=300, settings=settings))
    assert isinstance(model, NeuralLanguageModel)
    return model


def plan_of(model: NeuralLanguageModel) -> TrainingPlan:
    return resolve_plan(
        model, TrainingSettings(), context=8, batch_tokens=1 << 16, weight_decay=0.3, seconds=10.0, steps=None,
        valid_tokens=50, machine=hardware.Machine("cpu", 1e11, 0.25),
    )  # fmt: skip


def test_training_needs_more_memory_than_its_weights_and_their_moments() -> None:
    model = model_of(1)
    assert training_memory(model, plan_of(model)) > 24 * model.num_parameters()


def test_threads_need_memory_of_their_own() -> None:
    model = model_of(1)
    one, two, three = (
        training_memory(model, plan_of(model).model_copy(update={"workers": n})) for n in (1, 2, 3)
    )
    assert one > KEPT_FOR_A_THREAD
    assert KEPT_FOR_A_THREAD < three - two < two - one < 2 * KEPT_FOR_A_THREAD


def test_one_thread_scores_where_it_trained() -> None:
    model = model_of(1)
    plan = plan_of(model)
    scoring = training_memory(model, plan.model_copy(update={"rows": 1, "micro_rows": 1}))
    assert scoring == training_memory(model, plan.model_copy(update={"rows": 2, "micro_rows": 2}))
    assert scoring < training_memory(model, plan)


def test_memory_with_activations_computed_again_and_with_slices() -> None:
    model = model_of(4)
    plan = plan_of(model)
    kept = training_memory(model, plan)
    again = training_memory(model, plan.model_copy(update={"checkpoint_activations": True}))
    assert again < kept
    weights = 24 * model.num_parameters()
    alone, four, many = (
        training_memory(model, plan.model_copy(update={"parallel": "fsdp", "processes": n, "rows": 1}))
        for n in (1, 4, 1000)
    )
    assert alone > four > many > alone - weights
    assert alone - four == pytest.approx(weights * 3 / 4)


def test_a_model_is_sliced_where_a_copy_does_not_fit() -> None:
    model, settings = model_of(1), TrainingSettings()
    plan = plan_of(model).model_copy(update={"processes": 4})
    needed = training_memory(model, plan)
    assert fitted(model, plan, settings, needed + 1).parallel == "ddp"
    assert fitted(model, plan, settings, needed - 1).parallel == "fsdp"
    alone = plan.model_copy(update={"processes": 1})
    assert fitted(model, alone, settings, 0.0).parallel == "ddp"
    for wanted in ("ddp", "fsdp"):
        assert fitted(model, plan, TrainingSettings(parallel=wanted), 0.0).parallel == wanted


def test_the_advice_names_activation_checkpointing_where_it_helps() -> None:
    model = model_of(4)
    plan = plan_of(model)
    again = plan.model_copy(update={"checkpoint_activations": True})
    enough = training_memory(model, again)
    assert "--training.checkpoint-activations it fits" in memory_advice(model, plan, enough)
    assert "--training.checkpoint-activations it needs less" in memory_advice(model, plan, enough - 1)
    assert "checkpoint-activations" not in memory_advice(model, again, enough)
