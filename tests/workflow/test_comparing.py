import json
import os
import re
import signal
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import wenmo
from texts import documents
from wenmo.cli import main
from wenmo.comparison import results
from wenmo.config import ComparisonRecipe, CorpusSettings, ModelSettings, TokenizerSettings, TrainingSettings
from wenmo.errors import InputError, Interrupted, ModelError, OptionError, TrainingError
from wenmo.training.trainer import Trainer
from wenmo.workflow import comparing
from wenmo.workflow.comparing import compare, families_of
from wenmo.workflow.trying import neural_families

SMALL: dict[str, Any] = {
    "tokenizer": TokenizerSettings(kind="bpe", vocab_size=400),
    "model": ModelSettings(layers=1, width=32, context=32),
    "corpus": CorpusSettings(valid_fraction=0.2, test_fraction=0.05),
    # workers and precision are chosen by timing where they are free, and change the last digits
    "training": TrainingSettings(steps=12, batch_tokens=128, evaluations=2, workers=1, precision="fp32"),
    "seeds": 2,
}


def text(folder: Path, language: str, num_bytes: int = 20_000) -> Path:
    path = folder / {"en": "tales.txt", "zh": "故事集.txt"}[language]
    path.write_text("\n\n".join(documents(language, num_bytes)), encoding="utf-8")
    return path


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_comparison_from_text_to_page(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    families = ("transformer", "gru")
    path = text(tmp_path, language)
    result = compare(path, recipe=ComparisonRecipe(architectures=families, **SMALL), progress=False)
    folder = tmp_path / "runs" / f"{path.stem}-compared"
    assert Path(result.comparison) == folder and result.budget is None and result.trial == "12 steps"
    assert {family.name for family in result.families} == set(families) and len(result.pairs) == 1
    scores = [family.score.bits_per_byte for family in result.families]
    assert scores == sorted(scores)
    for family in result.families:
        assert family.score.low < family.score.bits_per_byte < family.score.high
        assert len(family.seeds) == 2 and len(family.points) == 4
        assert family.score.bits_per_byte == pytest.approx(sum(family.seeds) / 2)
        assert family.with_ngram < min(family.score.bits_per_byte, result.ngram) + 1e-6
        assert family.predicted is None
        assert min(family.trained_per_second, family.scored_per_second, family.written_per_second or 0) > 0
    assert result.recommended in families and result.recommended in result.recommendation
    assert json.loads((folder / "comparison.json").read_text("utf-8")) == result.model_dump(mode="json")
    page = (folder / "report.html").read_text("utf-8")
    assert path.stem in page and "http://" not in page.replace("http://www.w3.org", "") and "src=" not in page
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        ET.fromstring(chart)  # well-formed
        assert all(name in chart for name in families) and "nan" not in chart
    # The corpus stays for the training that follows; nothing else is left behind.
    assert sorted(item.name for item in folder.parent.iterdir()) == [folder.name, f"{folder.name}.corpus"]
    assert wenmo.Corpus.open(result.corpus).bytes("train") > 0


def test_an_interrupted_comparison_uses_its_finished_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = text(tmp_path, "en")
    recipe = ComparisonRecipe(architectures=("lstm", "rnn"), **SMALL)
    whole = compare(path, tmp_path / "whole", recipe, progress=False)
    original, counts = Trainer._step, {"steps": 0}

    def stopping(self: Trainer, factor: float) -> None:
        original(self, factor)
        counts["steps"] += 1
        if counts["steps"] == 20:  # in the fourth training, the three before being 3, 3 and 6 steps long
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_step", stopping)
    with pytest.raises(Interrupted, match=r"wenmo compare --resume"):
        compare(path, tmp_path / "stopped", recipe, progress=False)
    assert not (tmp_path / "stopped").exists()
    with pytest.raises(OptionError, match="--resume"):
        compare(path, tmp_path / "stopped", recipe, progress=False)
    finished = list((tmp_path / "stopped.run" / "trials").glob("*.json"))
    assert len(finished) >= 3
    counts["steps"] = 1000
    assert main(["compare", "--resume", str(tmp_path / "stopped"), "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert counts["steps"] - 1000 < 2 * (3 + 6 + 24) - 20 + 12  # what was finished was not done again
    assert {item["name"]: item["seeds"] for item in result["families"]} == {
        family.name: family.seeds for family in whole.families
    }
    with pytest.raises(ModelError, match="complete"):
        compare([], resume=tmp_path / "stopped", progress=False)


def test_a_budget_a_target_and_a_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "BEGUN", -9.0)  # so short trainings have hardly begun
    monkeypatch.setattr(comparing, "LEAST_TRIAL_SECONDS", 0.1)
    monkeypatch.setattr(comparing, "trial_seconds", lambda *_: 0.3)  # however busy the machine is
    changes = {"training": TrainingSettings(batch_tokens=128), "budget": "9s", "target_budget": "2m"}
    recipe = ComparisonRecipe(architectures=("transformer", "gru"), **{**SMALL, **changes})
    result = compare(text(tmp_path, "zh"), tmp_path / "out", recipe, progress=False)
    assert (result.budget, result.target) == (9.0, "2m")
    assert (
        0 < result.trial_seconds < 3
        and result.target_seconds is not None
        and 20 < result.target_seconds < 120
    )
    for family in result.families:
        assert family.predicted is not None and family.predicted.low < family.predicted.high
        assert family.predicted.bits_per_byte <= family.score.bits_per_byte + 0.2
    assert sum(family.best_probability or 0 for family in result.families) == pytest.approx(1)
    assert "2m" in result.recommendation
    assert "predicted" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_family_that_diverges_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer._step

    def failing(self: Trainer, factor: float) -> None:
        if self.name.startswith("rnn"):
            raise TrainingError("the training loss became nan at step 1")
        original(self, factor)

    monkeypatch.setattr(Trainer, "_step", failing)
    recipe = ComparisonRecipe(architectures=("rnn", "gru", "lstm"), **SMALL)
    result = compare(text(tmp_path, "en"), tmp_path / "out", recipe, progress=False)
    assert list(result.failed) == ["rnn"] and {family.name for family in result.families} == {"gru", "lstm"}
    assert "rnn was left out: the training loss became nan" in Path(result.report).read_text("utf-8")
    with pytest.raises(TrainingError):
        two = ComparisonRecipe(architectures=("rnn", "gru"), **SMALL)
        compare(text(tmp_path, "en"), tmp_path / "two", two, progress=False)
    assert not (tmp_path / "two.run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arch", "transformer"], "at least two"),
        (["--arch", "lstm,lstm"], "at least two"),
        (["--arch", "lstm,perceptron"], "perceptron is unknown; choose from transformer"),
        (["--arch", "lstm,mixture"], "made of several"),
        (["--arch", "lstm,ngram"], "counted beside"),
        (["--seeds", "1"], "--seeds"),
        (["--for", "soon"], "not a time"),
        (["--budget", "20s"], "--budget 20s is too short"),
        (["--arch", "lstm,gru", "--model.heads", "2"], "--model.heads"),
        (["--budget", "1h", "--for", "3s"], "longer --for"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = text(tmp_path, "zh")
    assert main(["compare", str(path), "-o", str(tmp_path / "out"), "--quiet", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown and len(shown.strip().splitlines()) == 1
    assert not (tmp_path / "out.run").exists() and not (tmp_path / "out").exists()


def test_too_little_text_and_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = text(tmp_path, "en", 900)
    recipe = ComparisonRecipe(**{**SMALL, "corpus": CorpusSettings()})
    with pytest.raises(InputError, match="give more text"):
        compare(path, tmp_path / "out", recipe, progress=False)
    assert main(["compare"]) == 2 and "compare needs text" in capsys.readouterr().err
    with pytest.raises(ModelError, match="no interrupted comparison"):
        compare([], resume=tmp_path / "nothing", progress=False)


def test_families_come_from_the_registry() -> None:
    assert families_of(ComparisonRecipe()) == neural_families()
    assert {"transformer", "lstm"} <= set(neural_families()) and not {"ngram", "mixture"} & set(
        neural_families()
    )
