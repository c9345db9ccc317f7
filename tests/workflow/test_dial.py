"""The dial from end to end: a target, the time that it takes, and where the time of a run went."""

import json
import signal
from pathlib import Path

import pytest

import wenmo
from wenmo.cli import main
from wenmo.config import CorpusSettings, ModelSettings, Recipe, TokenizerSettings, TrainingSettings
from wenmo.errors import Interrupted, OptionError
from wenmo.workflow import estimate, estimating, train

SMALL = {
    "tokenizer": TokenizerSettings(kind="bpe", vocab_size=400),
    "model": ModelSettings(layers=1, width=32, context=32),
    "corpus": CorpusSettings(valid_fraction=0.2, test_fraction=0.1),
}
STEPS = TrainingSettings(steps=48, batch_tokens=128)


@pytest.fixture(params=["zh", "en"])
def text(
    request: pytest.FixtureRequest, chinese_documents: list[str], english_documents: list[str], tmp_path: Path
) -> Path:
    documents = chinese_documents if request.param == "zh" else english_documents
    path = tmp_path / f"{request.param}.txt"
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return path


def test_training_ends_at_the_target_and_says_so(text: Path, tmp_path: Path) -> None:
    recipe = Recipe(architecture="transformer", target="7.5bpb", training=STEPS, **SMALL)
    result = train(text, tmp_path / "m", recipe, progress=False)
    assert result.stopped == "target" and result.target is not None and result.target.reached
    assert result.target.measured <= result.target.bits_per_byte == 7.5
    assert result.target.sentence.startswith("Reached")
    assert result.predicted == {}  # it did not train to its end
    recipe = Recipe(members=("gru", "ngram"), target="1.01ppl", training=STEPS, **SMALL)
    result = train(text, tmp_path / "n", recipe, progress=False)
    assert result.stopped == "steps" and result.target is not None and not result.target.reached
    assert "Not reached in this time" in result.target.sentence
    # The whole model is measured, with the n-gram model learning on: far better than the network alone.
    assert result.target.measured < result.members["gru"]
    told = result.predicted["gru"]
    assert told.low <= told.predicted <= told.high
    assert told.error == pytest.approx(told.predicted / told.measured - 1.0)
    assert result.overfitting["gru"].measures[-1] == "the weights of the best evaluation kept"
    assert result.twice_the_text is not None and result.twice_the_text.predicted <= result.twice_the_text.now
    page = Path(result.report).read_text("utf-8")
    for words in (
        "Where the time went",
        "was predicted to end at",
        "Not reached in this time",
        "Twice the text",
    ):
        assert words in page
    assert {"counting", "rivals", "training", "weights", "scores", "samples", "variety", "saving"} < set(
        result.stages
    )
    assert sum(result.stages.values()) < result.seconds


def test_how_long_a_target_takes(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "PROBES", (0.3, 1.2))
    found = estimate([str(text)], Recipe(target="0.001", **SMALL), progress=False)
    # How sure that is, and whether a time is named at all, depends on how far two such short probes got.
    assert found.reachable != "yes" and found.seconds_high is None
    assert len(found.probes) == 2 and found.ngram is not None
    found = estimate([str(text)], Recipe(target="7.9", **SMALL), progress=False)
    assert found.reachable == "yes" and found.seconds is not None and "within" in found.sentence
    assert list(tmp_path.iterdir()) == [text]  # nothing is kept


def test_the_command_asks_for_the_time_only_where_none_is_given(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimating, "PROBES", (0.2, 0.8))
    words = [
        "train",
        str(text),
        "--target",
        "7.9",
        "--arch",
        "rnn",
        "--model.layers",
        "1",
        "--model.width",
        "16",
    ]
    assert main([*words, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["target_bits_per_byte"] == 7.9 and found["reachable"] == "yes" and found["ngram"] is None
    assert main([*words, "-o", str(tmp_path / "m")]) == 2
    assert "makes no model" in capsys.readouterr().err
    steps = ["--training.steps", "8", "--training.batch-tokens", "64", "-o", str(tmp_path / "m")]
    assert main([*words, *steps, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["target"]["reached"] is True


def test_what_a_target_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="n-gram model"):
        train(tmp_path / "t.txt", tmp_path / "m", Recipe(architecture="ngram", target="1.9"), progress=False)
    with pytest.raises(OptionError, match="--target is missing"):
        wenmo.estimate([str(tmp_path / "t.txt")], Recipe())
    with pytest.raises(OptionError, match="every model reaches that"):
        wenmo.estimate([str(tmp_path / "t.txt")], Recipe(target="9bpb"))
    with pytest.raises(OptionError, match="say how long to train"):
        wenmo.estimate([str(tmp_path / "t.txt")], Recipe(target="1.9", training=STEPS))


def test_an_estimate_that_is_interrupted_ends_there(
    english_documents: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.txt").write_text("\n\n".join(english_documents), encoding="utf-8")
    begun: list[str] = []

    class Pressed(estimating.Trainer):
        """Meets Ctrl-C in every step."""

        def _step(self, factor: float) -> None:
            begun.append(self.name)
            signal.raise_signal(signal.SIGINT)
            super()._step(factor)

    monkeypatch.setattr(estimating, "Trainer", Pressed)
    with pytest.raises(Interrupted, match="nothing was kept"):
        estimate([str(tmp_path / "t.txt")], Recipe(target="1.9", **SMALL), progress=False)
    assert begun == ["probe of 10 s"]
