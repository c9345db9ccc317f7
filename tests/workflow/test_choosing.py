import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from texts import documents
from wenmo.comparison import trials
from wenmo.comparison.experiment import Found
from wenmo.comparison.results import early_families
from wenmo.comparison.trials import Candidate, Judge, Trial
from wenmo.config import CompareSettings, ModelSettings, Recipe, TrainingSettings
from wenmo.errors import Interrupted, OptionError
from wenmo.models.storage import load_model
from wenmo.training.plan import TrainingPlan
from wenmo.workflow import choosing, train
from wenmo.workflow.checks import check_recipe
from wenmo.workflow.choosing import tries
from wenmo.workflow.clock import Clock


def clock(seconds: float | None) -> Clock:
    return Clock(seconds, time.monotonic())


def test_when_families_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tries(Recipe(), clock(600.0)) and tries(Recipe(model=ModelSettings(context=64)), clock(3600.0))
    assert not tries(Recipe(), clock(599.0)) and not tries(Recipe(), clock(None))
    for changed in (
        Recipe(architecture="mixture"),
        Recipe(architecture="lstm"),
        Recipe(members=("lstm", "ngram")),
        Recipe(model=ModelSettings(heads=4)),
        Recipe(training=TrainingSettings(compile="on")),
        Recipe(compare=CompareSettings(share=0.0)),
    ):
        assert not tries(changed, clock(3600.0)), changed
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert not tries(Recipe(), clock(3600.0))
    with pytest.raises(OptionError, match=r"--compare\.share is for --arch auto"):
        check_recipe(Recipe(architecture="lstm", compare=CompareSettings(share=0.2)))


@pytest.mark.parametrize(("gain", "winner"), [(0.2, "lstm"), (0.001, "transformer"), (-0.2, "transformer")])
@pytest.mark.parametrize("early", [False, True])
def test_the_default_gives_way_only_to_what_is_better_for_sure(gain: float, winner: str, early: bool) -> None:
    rng = np.random.default_rng(0)
    blocks = 40
    ids = np.ones(64 * blocks, np.int64)
    judge = Judge(ids, np.array([0, 2]), 0, np.ones(len(ids)), 0.01 if early else 99.0)
    plan = {"optimizer": "adamw", "lr": 1e-3, "muon_lr": 0.02, "weight_decay": 0.1, "context": 8, "rows": 1}
    done, candidates = [], {}
    for name, better in (("transformer", 0.0), ("lstm", gain)):
        for share, seeds in ((0.25, 1), (1.0, 3)):
            made = TrainingPlan(**plan, micro_rows=1, valid_tokens=9, seconds=20.0 * share)
            candidates[name, share] = Candidate(name, {}, made, 1000, 1e6)
            for seed in range(seeds):
                bits = 2.0 + 0.3 * share**-0.5 - better + rng.normal(0, 0.004) + rng.normal(0, 0.02, blocks)
                nats = (bits * np.log(2) * 128).tolist()
                own = [9.0] * blocks  # alone they are all alike; the mixture decides
                done.append(
                    Trial(name, share, seed, 20 * share, 99, 0.1, "budget", own, nats, 0.5, 1.0, None)
                )
    told: list[str] = []
    chosen = choosing._winner("transformer", "lstm", Found(done), candidates, judge, 20.0, 60.0, told.append)
    if early:
        assert chosen == "transformer" and "too early" in told[0]
        return
    assert chosen == winner
    assert told[0].startswith(f"auto: {winner} (")
    assert ("may be chance" in told[0]) == (abs(gain) < 0.01)


def test_auto_tries_families_and_says_so_also_after_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "LEAST_BUDGET", 1.0)
    monkeypatch.setattr(choosing, "LEAST_TRIAL_SECONDS", 0.05)
    monkeypatch.setattr(choosing, "PER_MODEL_SECONDS", 0.1)
    path = tmp_path / "文 text.txt"
    path.write_text("\n\n".join(documents("en", 10_000) + documents("zh", 10_000)), encoding="utf-8")
    recipe = Recipe(budget="11s", compare=CompareSettings(share=0.25))
    original, calls = trials.score_stream, []

    def pressed(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(trials, "score_stream", pressed)
    with pytest.raises(Interrupted, match="wenmo train --resume"):
        train(path, tmp_path / "model", recipe, progress=False)
    assert len(list((tmp_path / "model.run" / "trials").glob("*.json"))) == 1
    result = train([], resume=tmp_path / "model", progress=False)
    page = Path(result.report).read_text("utf-8")
    assert "auto: trying mingru, transformer" in page
    neural = [name for name in result.members if name != "ngram"]
    assert "ngram" in result.members and len(neural) <= 1  # on a busy machine no time may be left for it
    assert neural == [] or f"auto: {neural[0]} (" in page
    assert not (tmp_path / "model.run").exists()


@pytest.mark.parametrize(
    ("passes", "networks"), [(5.0, 1), (27.9, 1), (28.1, 2), (43.0, 3), (500.0, choosing.MOST_NETWORKS)]
)
def test_a_text_that_is_seen_too_often_gets_several_networks(
    monkeypatch: pytest.MonkeyPatch, passes: float, networks: int
) -> None:
    asked: list[tuple[str, float]] = []

    def decided(family: str, recipe: Recipe, texts: Any, machine: Any, seconds: float, seed: int) -> Any:
        asked.append((family, seconds))
        return SimpleNamespace(epochs=passes)

    monkeypatch.setattr(choosing, "decide", decided)
    told: list[str] = []
    given = (cast(Any, None), cast(Any, None), clock(3600.0), told.append)
    found = choosing.several(["mingru", "ngram"], Recipe(), *given)
    assert found == [*["mingru", "mingru-2", "mingru-3"][:networks], "ngram"]
    assert [family for family, _ in asked] == ["mingru"] and 0.5 * 3600 < asked[0][1] < 3600
    assert bool(told) == (networks > 1) and all(f"{networks} networks of mingru" in line for line in told)
    for pinned in (
        Recipe(size="1M"),
        Recipe(target="1.9bpb"),
    ):  # one network of that size; the first that is there
        assert choosing.several(["mingru", "ngram"], pinned, *given) == ["mingru", "ngram"]


def test_several_networks_of_a_family_are_trained_and_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "LEAST_BUDGET", 1.0)
    monkeypatch.setattr(choosing, "_try", lambda default, *rest: default)
    monkeypatch.setattr(choosing, "PASSES_EACH", 1e-6)
    monkeypatch.setattr(choosing, "MOST_NETWORKS", 2)
    path = tmp_path / "文 text.txt"
    path.write_text("\n\n".join(documents("en", 8_000) + documents("zh", 8_000)), encoding="utf-8")
    result = train(path, tmp_path / "model", Recipe(budget="15s"), progress=False)
    assert "2 networks of mingru" in Path(result.report).read_text("utf-8")
    # On a busy machine no time may be left for them.
    assert list(result.members) in (["mingru", "mingru-2", "ngram"], ["mingru", "ngram"], ["ngram"])
    if len(result.members) == 3:
        first, second = (
            load_model(Path(result.model) / "members" / name).model for name in ("mingru", "mingru-2")
        )
        assert not torch.equal(first.output_weight.float(), second.output_weight.float())
        assert set(result.gains) >= {"mingru", "mingru-2"} or not result.gains


@pytest.mark.parametrize(("frequencies", "ngram"), [(3.4, 2.0), (2.4, 1.9)])
def test_a_family_has_begun_when_it_is_on_its_way_to_the_ngram_model(
    frequencies: float, ngram: float
) -> None:
    ids = np.ones(640, np.int64)
    judge = Judge(ids, np.array([0, 2]), 0, np.full(640, ngram * 2 * np.log(2)), frequencies)
    scores = {
        "rnn": frequencies,
        "lstm": 0.8 * frequencies + 0.2 * ngram,
        "gru": 0.6 * frequencies + 0.4 * ngram,
    }
    made = [
        Trial(
            name,
            1.0,
            0,
            9.0,
            9,
            0.1,
            "budget",
            (score * np.log(2) * judge.block_bytes).tolist(),
            [],
            0.5,
            1.0,
            None,
        )
        for name, score in scores.items()
    ]
    assert early_families(Found(made), judge) == ["rnn", "lstm"]
