"""The design of a comparison and its execution: which trainings, how long, in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wenmo.comparison.trials import GENERATION_SECONDS, Candidate, Judge, TextPair, Trial, run_trial
from wenmo.errors import TrainingError

SHORTER = (0.25, 0.5)
"""Lengths of the shorter trials, as shares of the longest: one of each for every family, for its learning curve."""
SCORING_SHARE = 0.06
"""Time to score a trial, as a share of the longest trials, for the slowest family."""
OVERHEAD_SECONDS = 0.2
"""Building a model and its optimiser."""
FINISH_SECONDS = 2.5
"""Test, extrapolation and report."""
MARGIN = 0.98
"""Share of the time that is planned; the rest is for what a busy machine adds."""


@dataclass(frozen=True)
class Round:
    """One training of every family, all of one length and seed.

    Attributes:
        share: Length as a share of the longest trials.
        seed: Seed of all its trainings.
    """

    share: float
    seed: int


@dataclass
class Found:
    """What the trials gave.

    Attributes:
        trials: All that were finished.
        failed: Family -> why it was left out of the rest.
    """

    trials: list[Trial] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def longest(self, name: str) -> list[Trial]:
        """The trials of full length of a family, by round."""
        return [trial for trial in self.trials if trial.name == name and trial.share == 1.0]

    @property
    def names(self) -> list[str]:
        """Families that finished every round, in the order of their first trial."""
        return [
            name for name in dict.fromkeys(trial.name for trial in self.trials) if name not in self.failed
        ]


def design(seeds: int, first_seed: int, shorter: Sequence[float] = SHORTER) -> list[Round]:
    """The rounds of a comparison: the shorter ones first, then one of full length for each seed; no seed twice."""
    early = [Round(share, first_seed + seeds + number) for number, share in enumerate(shorter)]
    return [*early, *(Round(1.0, first_seed + number) for number in range(seeds))]


def trial_seconds(seconds: float, families: int, rounds: Sequence[Round]) -> float:
    """Length of the longest trials so that all fit into a time, below 0 when not even the overheads do."""
    lengths = sum(item.share for item in rounds) + SCORING_SHARE * len(rounds)
    fixed = families * (len(rounds) * OVERHEAD_SECONDS + GENERATION_SECONDS) + FINISH_SECONDS
    return (MARGIN * seconds - fixed) / (families * lengths)


def run_rounds(
    candidates: Mapping[tuple[str, float], Candidate],
    rounds: Sequence[Round],
    texts: TextPair,
    judge: Judge,
    device: str,
    directory: Path,
    *,
    tell: Callable[[str], None],
    progress: bool,
    found: Found | None = None,
) -> Found:
    """Trains every family once in each round.

    A round takes one family after the other, each round beginning with another one, so that whatever slows the machine
    down for a while harms all alike. Finished trials are kept in `directory` and used again.

    Args:
        candidates: (family, share) -> how it is trained.
        rounds: The rounds, in order.
        texts: What is trained on.
        judge: What is scored on.
        device: Where.
        directory: Folder of the results.
        tell: Told when a family is left out.
        progress: Whether to show progress lines.
        found: Results of rounds before these, to which the new ones are added.

    Raises:
        Interrupted: After Ctrl-C.
        TrainingError: When fewer than two families are left.
    """
    found = found or Found()
    names = [name for name in dict.fromkeys(name for name, _ in candidates) if name not in found.failed]
    for number, item in enumerate(rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order:
            if name in found.failed:
                continue
            label = f"{name}-{item.share:g}-{item.seed}"
            path = directory / f"{label}.json"
            if path.is_file():
                found.trials.append(Trial.read(path))
                continue
            try:
                trial = run_trial(
                    candidates[name, item.share], item.share, item.seed, texts, judge, device, directory / label,
                    title=f"{name}, round {number + 1} of {len(rounds)}",
                    timed=item == rounds[-1], progress=progress,
                )  # fmt: skip
            except TrainingError as error:
                found.failed[name] = str(error)
                tell(f"{name}: left out, since {error}")
                if len([other for other in names if other not in found.failed]) < 2:
                    raise
                continue
            trial.write(path)
            found.trials.append(trial)
    return found
