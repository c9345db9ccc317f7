"""What `wenmo compare` predicts from a fifth of the time, against what was then measured.

For each text and family: trainings of a quarter, a half and all of `--trial` seconds, the curve through them, its
prediction for `--ratio` times as long, and a training of that length, all scored on the same held-out tokens. The
baseline is the score of the longest trials taken as the prediction. On a busy machine `--clock cpu` counts the seconds
of the process instead of those of the wall, so that all trainings get the same work done.

    python bench/compare.py --texts tinyshakespeare.txt novel.txt --trial 8 --ratio 5
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from _data import shared_data
from _record import record

SCORED_TOKENS = 8_000
TEXTS = ("tinyshakespeare.txt", "hongloumeng.txt")


def rows_of(
    path: Path, families: list[str], trial: float, ratio: float, seeds: int, folder: Path
) -> list[Any]:
    """Compares on one text, then trains each family for as long as was predicted."""
    from wenmo.comparison.experiment import Found, design, run_rounds
    from wenmo.comparison.results import family_results
    from wenmo.comparison.testing import judge as test_of_families
    from wenmo.comparison.trials import run_trial
    from wenmo.config import Recipe
    from wenmo.models.ngram import NgramModel
    from wenmo.training import hardware
    from wenmo.workflow.clock import Clock
    from wenmo.workflow.counting import train_ngram
    from wenmo.workflow.texts import load_texts, open_corpus
    from wenmo.workflow.trying import candidate, make_judge

    recipe = Recipe()
    corpus = open_corpus([str(path)], recipe, folder / "corpus", False)
    texts = load_texts(corpus, recipe, folder, False)
    machine = hardware.measure_machine("cpu")
    ngram = train_ngram(texts, Clock(None, time.monotonic()), 0, print, False).model
    assert isinstance(ngram, NgramModel)
    judge = make_judge(texts, SCORED_TOKENS, ngram)
    rounds = design(seeds, 0)
    candidates = {}
    for name in families:
        for share in (0.25, 0.5, 1.0, ratio):
            made, _ = candidate(name, share, recipe, texts, machine, trial)
            plan = made.plan.model_copy(update={"seconds": trial * share})
            candidates[name, share] = replace(made, plan=plan)
    found = run_rounds(
        candidates, rounds, texts, judge, "cpu", folder / "trials", tell=print, progress=False, found=Found()
    )
    results, pairs, _, _ = family_results(found, candidates, judge.block_bytes, trial * ratio)
    with_ngram = np.array([[trial.mixed_nats for trial in found.longest(name)] for name in found.names])
    mixed = test_of_families(with_ngram, judge.block_bytes)

    def bits(nats: list[float]) -> float:
        return sum(nats) / math.log(2.0) / float(judge.block_bytes.sum())

    rows = []
    for result in results:
        long = run_trial(
            candidates[result.name, ratio], ratio, 99, texts, judge, "cpu", folder / f"long-{result.name}",
            title=result.name, timed=False, progress=False,
        )  # fmt: skip
        measured = bits(long.nats)
        assert result.predicted is not None
        rows.append(
            {
                "text": path.name,
                "family": result.name,
                "trial": round(result.score.bits_per_byte, 4),
                "predicted": round(result.predicted.bits_per_byte, 4),
                "95%": [round(result.predicted.low, 4), round(result.predicted.high, 4)],
                "measured": round(measured, 4),
                "error": f"{result.predicted.bits_per_byte / measured - 1:+.1%}",
                "error of the baseline": f"{result.score.bits_per_byte / measured - 1:+.1%}",
                "inside": result.predicted.low <= measured <= result.predicted.high,
                "best at trial, corrected p": [
                    [pair.worse, round(pair.p_holm, 4)] for pair in pairs if pair.better == result.name
                ],
                "with n-gram": [
                    round(float(mixed.means[found.names.index(result.name)]), 4),
                    round(bits(long.mixed_nats), 4),
                ],
                "parameters": [
                    candidates[result.name, 1.0].parameters,
                    candidates[result.name, ratio].parameters,
                ],
                "points": [
                    [round(point.seconds, 1), round(point.bits_per_byte, 4)] for point in result.points
                ],
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Runs all texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, nargs="*", default=[shared_data("lm", name) for name in TEXTS])
    parser.add_argument("--families", nargs="+", default=["transformer", "lstm", "gru"])
    parser.add_argument("--trial", type=float, default=8.0)
    parser.add_argument("--ratio", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    if not options.texts or not all(path.is_file() for path in options.texts):
        print("skipped: name texts with --texts; the shared data is not at hand")
        return
    if options.clock == "cpu":
        time.monotonic = time.perf_counter = time.process_time  # type: ignore[assignment]
    rows = []
    for path in options.texts:
        with tempfile.TemporaryDirectory() as name:
            rows += rows_of(path, options.families, options.trial, options.ratio, options.seeds, Path(name))
    errors = [abs(row["predicted"] / row["measured"] - 1) for row in rows]
    naive = [abs(row["trial"] / row["measured"] - 1) for row in rows]
    record(
        "compare",
        claim="A training is predicted within 3 % from a fifth of its time, inside the interval that is given.",
        clock=options.clock,
        rows=rows,
        verdict=f"Mean error {sum(errors) / len(errors):.1%}, largest {max(errors):.1%}, baseline "
        f"{sum(naive) / len(naive):.1%}; {sum(row['inside'] for row in rows)} of {len(rows)} inside the 95% interval.",
    )


if __name__ == "__main__":
    main()
