import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from wenmo.comparison.charts import LABEL_HEIGHT, _apart, learning_curves, score_bars
from wenmo.comparison.experiment import Round
from wenmo.comparison.extrapolation import fit_curve
from wenmo.comparison.results import FamilyResult, Interval, Point
from wenmo.comparison.setup import Setup, read_setup, write_setup
from wenmo.comparison.trials import Candidate, Judge
from wenmo.errors import ModelError
from wenmo.training.plan import TrainingPlan


def family(name: str, score: float, predicted: bool) -> tuple[FamilyResult, list[Point]]:
    points = [
        Point(seconds=t, bits_per_byte=score + 0.4 * (t / 20) ** -0.5 - 0.4) for t in (5.0, 10.0, 20.0, 20.0)
    ]
    interval = Interval(bits_per_byte=score, low=score - 0.02, high=score + 0.02)
    made = FamilyResult(
        name=name,
        score=interval,
        seeds=[score, score],
        with_ngram=score,
        predicted=interval if predicted else None,
        best_probability=0.5 if predicted else None,
        points=points,
        parameters=1,
        memory=1.0,
        epochs=1.0,
        trained_per_second=1.0,
        scored_per_second=1.0,
        written_per_second=None,
    )
    return made, points


@pytest.mark.parametrize("target", [None, 600.0])
@pytest.mark.parametrize("title", ["Scores of 红楼梦 <&>", "Tales"])
def test_charts_are_well_formed_and_name_every_family(target: float | None, title: str) -> None:
    made = [
        family(name, 2.0 + 0.05 * number, target is not None)
        for number, name in enumerate(("lstm", "a<b", "gru"))
    ]
    curves = {
        item.name: fit_curve(
            np.array([p.seconds for p in points]), np.array([p.bits_per_byte for p in points])
        )
        for item, points in made
    }
    families = [item for item, _ in made]
    for chart in (learning_curves(families, curves, 20.0, target, title), score_bars(families, title)):
        root = ET.fromstring(chart)
        texts = ["".join(node.itertext()) for node in root.iter("text")]
        assert {"lstm", "a<b", "gru"} <= set(texts) and root.attrib["aria-label"] == title
        assert "nan" not in chart and "inf" not in chart
    assert ("predicted" in learning_curves(families, curves, 20.0, target, title)) == (target is not None)


def test_labels_do_not_cover_each_other() -> None:
    found = _apart({"a": 100.0, "b": 101.0, "c": 102.0, "d": 300.0})
    places = sorted(found.values())
    assert all(b - a >= LABEL_HEIGHT - 0.5 for a, b in pairwise(places))
    assert found["a"] < found["b"] < found["c"] and found["d"] == 300.0


def test_a_setup_comes_back_as_it_was_and_damage_is_said(tmp_path: Path) -> None:
    plan = TrainingPlan(
        optimizer="muon",
        lr=1e-3,
        muon_lr=0.02,
        weight_decay=0.1,
        context=8,
        rows=1,
        micro_rows=1,
        valid_tokens=9,
    )
    candidates = {("gru", share): Candidate("gru", {"width": 8}, plan, 10, 5.0) for share in (0.25, 1.0)}
    judge = Judge(np.arange(5), np.ones(5, np.int64), 0, np.linspace(0, 1, 5))
    setup = Setup(candidates, [Round(0.25, 1)], judge, 3.0, "3.0 s", "1h", 3000.0, 2.0, ["文 text"])
    assert read_setup(tmp_path / "setup") is None
    write_setup(setup, tmp_path / "setup")
    found = read_setup(tmp_path / "setup")
    assert found is not None and found.candidates == candidates and found.lines == ["文 text"]
    assert np.array_equal(found.judge.ngram, judge.ngram) and found.rounds == setup.rounds
    (tmp_path / "setup" / "setup.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        read_setup(tmp_path / "setup")
