import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.config import ComparisonRecipe, DistilRecipe, ModelSettings, Recipe, TrainingSettings
from wenmo.errors import OptionError
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model, neural_architectures
from wenmo.training import budget, hardware


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2.5h", 9000), ("1 d", 86400), ("5min", 300)],
)
def test_durations(text: str, seconds: float) -> None:
    assert budget.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"budget": "2m"}, 120.0),
        ({"budget": None}, None),
        ({"budget": "2m", "training": TrainingSettings(steps=10)}, None),
        ({"budget": "2m", "training": TrainingSettings(epochs=1.0)}, None),
    ],
)
def test_a_recipe_has_seconds_where_nothing_else_decides(changes: dict, seconds: float | None) -> None:
    for kind in (Recipe, DistilRecipe, ComparisonRecipe):
        assert budget.recipe_seconds(kind(**changes)) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "ten minutes", "-5m", "0s", "5m later"])
def test_other_texts_are_refused_by_name(text: str) -> None:
    with pytest.raises(OptionError, match="--budget"):
        budget.parse_duration(text)


@given(
    st.sampled_from(neural_architectures()),
    st.floats(1e9, 1e15),
    st.floats(1, 1e6),
    st.integers(100, 10**10),
)
def test_more_time_never_buys_a_smaller_model(
    architecture: str, flops: float, seconds: float, tokens: int
) -> None:
    less = budget.choose_parameters(architecture, flops, seconds, tokens)
    more = budget.choose_parameters(architecture, flops, seconds * 2, tokens)
    assert budget.SMALLEST_PARAMETERS <= less <= more <= budget.LARGEST_PARAMETERS


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_regularisation_grows_with_the_epochs(first: float, second: float) -> None:
    low, high = sorted((first, second))
    for architecture in neural_architectures():
        assert budget.regularisation(low, architecture) <= budget.regularisation(high, architecture)
    assert budget.regularisation(1.0, "lstm") == (0.0, 0.1)
    assert [round(budget.regularisation(passes, "mingru")[1], 2) for passes in (32, 63, 1000)] == [
        0.64,
        1.7,
        4.0,
    ]


def tiny() -> NeuralLanguageModel:
    settings = ModelSettings(layers=1, width=16, heads=2, context=8)
    model = build_model(build_config("transformer", vocab_size=300, settings=settings))
    assert isinstance(model, NeuralLanguageModel)
    return model


def plan_of(embedding_share: float = 1.0, **settings: object) -> budget.TrainingPlan:
    return budget.resolve_plan(
        tiny(), TrainingSettings(**settings), context=8, batch_tokens=64, weight_decay=0.3,
        embedding_share=embedding_share, seconds=10.0, steps=None, valid_tokens=50,
        machine=hardware.Machine("cpu", 1e11, 0.25),
    )  # fmt: skip


def test_settings_override_the_derived_plan() -> None:
    plan = plan_of(batch_tokens=48)
    assert (plan.rows, plan.micro_rows, plan.weight_decay, plan.precision) == (6, 6, 0.3, "fp32")
    assert plan.optimizer == "adamw"  # 48 tokens are too few for Muon to pay
    plan = plan_of(
        optimizer="muon",
        lr=0.5,
        muon_lr=0.25,
        weight_decay=0.0,
        batch_tokens=32,
        micro_batch_tokens=8,
        precision="bf16",
    )
    assert (plan.optimizer, plan.lr, plan.muon_lr, plan.weight_decay) == ("muon", 0.5, 0.25, 0.0)
    assert (plan.rows, plan.micro_rows, plan.precision) == (4, 1, "bf16")
    with pytest.raises(OptionError, match=r"--training\.micro-batch-tokens"):
        plan_of(batch_tokens=8, micro_batch_tokens=16)


@pytest.mark.parametrize(
    ("settings", "decay"),
    [
        ({"optimizer": "adamw"}, 0.3),
        ({"optimizer": "muon", "lr": 0.01, "muon_lr": 0.02}, 0.6),
        ({"optimizer": "muon", "lr": 0.01, "muon_lr": 0.02, "weight_decay": 0.1}, 0.2),
        ({"optimizer": "sgd"}, 0.0),
        ({"embedding_decay": 0.05}, 0.05),
        ({"weight_decay": 0.0}, 0.0),
    ],
)
def test_the_embedding_shrinks_as_fast_as_the_matrices(settings: dict[str, object], decay: float) -> None:
    assert plan_of(**settings).embedding_decay == pytest.approx(decay)
    asked = settings.get("embedding_decay")
    assert plan_of(0.5, **settings).embedding_decay == pytest.approx(decay if asked else decay / 2)


def test_the_embedding_is_left_alone_in_few_passes() -> None:
    shares = [budget.embedding_share(epochs) for epochs in (0.0, 1.0, 3.0, 4.24, 6.0, 100.0)]
    assert shares == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.0, 1.0], abs=0.01)


def test_context_follows_the_text_and_the_time() -> None:
    settings = ModelSettings()
    assert budget.choose_context(10**6, 3.0, 60, settings) == 128
    assert budget.choose_context(10**6, 1.0, 60, settings) == 256
    assert budget.choose_context(10**6, 3.0, 600, settings) == 256
    assert budget.choose_context(400, 3.0, 600, settings) <= 32
    assert budget.choose_context(400, 3.0, 600, ModelSettings(context=77)) == 77


@pytest.mark.parametrize(
    ("tokens", "seconds", "counted"),
    [
        (4_095, 60.0, 0),
        (50_000, 60.0, 50_000),
        (10_000_000, 30.0, 600_000),
        (10_000_000, 0.01, 4_096),
        (10_000_000, 1e5, 1 << 21),
        (10_000_000, None, 1 << 21),
    ],
)
def test_an_embedding_begins_with_what_there_is_time_to_count(
    tokens: int, seconds: float | None, counted: int
) -> None:
    assert budget.embedding_tokens(tokens, seconds, 9.0) == counted
    assert budget.embedding_tokens(tokens, seconds, 11.0) == 0
