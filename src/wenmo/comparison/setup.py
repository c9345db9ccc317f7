"""What a comparison has decided before its first training, as it is kept for going on after an interruption."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from wenmo.comparison.experiment import Round
from wenmo.comparison.trials import Candidate, Judge
from wenmo.errors import ModelError
from wenmo.files import atomic_directory
from wenmo.training.plan import TrainingPlan


@dataclass(frozen=True)
class Setup:
    """The decided experiment.

    Attributes:
        candidates: (family, share) -> how it is trained.
        rounds: The rounds, in order.
        judge: What is scored on.
        seconds: Length of the longest trials; None where steps or epochs decide.
        length: The same in words.
        target: Budget of the training to predict, as it was given; None for no prediction.
        target_seconds: Seconds of it that are left for training.
        ngram: Bits per byte of the n-gram model.
        lines: What is told before it begins.
    """

    candidates: dict[tuple[str, float], Candidate]
    rounds: list[Round]
    judge: Judge
    seconds: float | None
    length: str
    target: str | None
    target_seconds: float | None
    ngram: float
    lines: list[str]


def write_setup(setup: Setup, directory: Path) -> None:
    """Writes `setup.json` and the held-out text, `held_out.npz`, whole or not at all."""
    candidates = [
        {**vars(found), "share": share, "plan": found.plan.model_dump(mode="json")}
        for (_, share), found in setup.candidates.items()
    ]
    content = {
        **{name: value for name, value in vars(setup).items() if name != "judge"},
        "candidates": candidates,
        "rounds": [asdict(item) for item in setup.rounds],
    }
    with atomic_directory(directory) as folder:
        (folder / "setup.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        judge = setup.judge
        np.savez(
            folder / "held_out.npz",
            ids=judge.ids,
            byte_lengths=judge.byte_lengths,
            eos_id=np.asarray(judge.eos_id),
            ngram=judge.ngram,
            frequencies=np.asarray(judge.frequencies),
        )


def read_setup(directory: Path) -> Setup | None:
    """Reads what `write_setup` wrote; None where nothing was written.

    Raises:
        ModelError: When it is damaged.
    """
    if not directory.is_dir():
        return None
    try:
        content = json.loads((directory / "setup.json").read_text(encoding="utf-8"))
        candidates = {}
        for item in content.pop("candidates"):
            share = item.pop("share")
            plan = TrainingPlan.model_validate(item.pop("plan"))
            candidates[item["name"], share] = Candidate(plan=plan, **item)
        rounds = [Round(**item) for item in content.pop("rounds")]
        with np.load(directory / "held_out.npz", allow_pickle=False) as arrays:
            judge = Judge(
                arrays["ids"],
                arrays["byte_lengths"],
                int(arrays["eos_id"]),
                arrays["ngram"],
                float(arrays["frequencies"]),
            )
        return Setup(candidates=candidates, rounds=rounds, judge=judge, **content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{directory} is damaged; delete the folder it is in and compare again") from error
