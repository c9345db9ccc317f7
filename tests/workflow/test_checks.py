import shutil

import pytest

from wenmo.config import Recipe, TrainingSettings
from wenmo.errors import OptionError
from wenmo.workflow import checks
from wenmo.workflow.checks import check_recipe


def compiled(*members: str) -> Recipe:
    return Recipe(members=members, training=TrainingSettings(compile="on"))


def test_compiling_is_for_a_transformer_and_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    check_recipe(compiled("transformer", "lstm"))
    with pytest.raises(OptionError, match=r"--training\.compile has no effect"):
        check_recipe(compiled("lstm", "ngram"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OptionError, match=r"needs a C\S* compiler"):
        check_recipe(compiled("transformer"))


def test_dividing_a_model_needs_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(training=TrainingSettings(parallel="fsdp"))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(OptionError, match=r"--training\.parallel fsdp .* torchrun --nproc-per-node"):
        check_recipe(recipe)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="this is one"):
        check_recipe(recipe)
    monkeypatch.setenv("RANK", "0")
    check_recipe(recipe)


@pytest.mark.parametrize(
    ("changes", "number", "device", "named"),
    [
        ({}, 1, "cuda", "--training.device cuda"),
        ({}, 2, "cpu", "several processes"),
        ({"label_smoothing": 0.1}, 1, "cpu", "--training.label-smoothing"),
        ({"compile": "on"}, 1, "cpu", "--training.compile on"),
    ],
)
def test_sampling_from_the_vocabulary_is_for_one_process_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], number: int, device: str, named: str
) -> None:
    monkeypatch.setattr(checks, "processes", lambda: number)
    monkeypatch.setattr(checks.hardware, "choose_device", lambda wanted: device)
    monkeypatch.setattr(checks.hardware, "compiler", lambda device: "g++")
    check_recipe(Recipe(training=TrainingSettings(**changes)))
    with pytest.raises(OptionError, match=f"sampled does not go with {named}; leave one out"):
        check_recipe(Recipe(training=TrainingSettings(softmax="sampled", **changes)))


def test_activations_are_computed_again_in_a_transformer_alone() -> None:
    training = TrainingSettings(checkpoint_activations=True)
    check_recipe(Recipe(members=("transformer", "lstm"), training=training))
    with pytest.raises(OptionError, match=r"--training\.checkpoint-activations has no effect"):
        check_recipe(Recipe(members=("lstm", "ngram"), training=training))


def test_a_size_that_is_none_is_refused_before_anything_is_read() -> None:
    with pytest.raises(OptionError, match="--size 2X is not a number of parameters"):
        check_recipe(Recipe(size="2X"))
