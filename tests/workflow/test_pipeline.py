import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wenmo
from wenmo.config import CorpusSettings, ModelSettings, Recipe, TokenizerSettings, TrainingSettings
from wenmo.errors import InputError, Interrupted, ModelError, OptionError
from wenmo.evaluation.evaluate import evaluate
from wenmo.models.storage import load_model
from wenmo.training.trainer import Trainer
from wenmo.workflow import members, settling, train
from wenmo.workflow.clock import Clock
from wenmo.workflow.members import Member, member_names
from wenmo.workflow.pipeline import Told, unused

SMALL = {
    "tokenizer": TokenizerSettings(kind="bpe", vocab_size=400),
    "model": ModelSettings(layers=1, width=32, context=32),
    "corpus": CorpusSettings(valid_fraction=0.15, test_fraction=0.15),
    "training": TrainingSettings(steps=12, batch_tokens=128, evaluations=3),
}


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory, mixed_documents: list[str]) -> Path:
    path = tmp_path_factory.mktemp("texts") / "中文 and English.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in mixed_documents]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_mixture_from_one_file(text_file: Path, tmp_path: Path) -> None:
    recipe = Recipe(members=("transformer", "lstm", "ngram"), **SMALL)
    result = train(text_file, tmp_path / "model", recipe, progress=False)
    assert set(result.members) == {"transformer", "lstm", "ngram"} == set(result.weights) - {"cache"}
    assert set(result.gains) == set(result.weights)
    assert set(result.baselines) == {"ppmd", "xz", "ngram"}
    assert sum(result.weights.values()) == pytest.approx(1.0)
    assert result.static_bits_per_byte <= min(result.members.values()) * 1.02
    assert result.stopped == "steps" and result.budget is None
    assert len(result.samples) == 2 and Path(result.report).is_file()
    # The folder of the run is gone, the corpus stays beside the model, and no training text inside it.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.corpus"]
    loaded = load_model(tmp_path / "model")
    assert loaded.info["scores"]["bits_per_byte"] == result.bits_per_byte
    assert (
        wenmo.Corpus.open(loaded.info["corpus"]["path"]).fingerprint == loaded.info["corpus"]["fingerprint"]
    )
    model = wenmo.load(tmp_path / "model")
    text = model.generate("今天", max_tokens=5, seed=1)[0].text
    assert text == wenmo.load(tmp_path / "model").generate("今天", max_tokens=5, seed=1)[0].text
    report = Path(result.report).read_text(encoding="utf-8")
    assert "PPMd" in report and "http://" not in report.replace("http://www.w3.org", "")


def test_a_network_that_deciding_left_no_time_for_is_left_out(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_finish = settling.plan_finish

    def long(clock: Clock, *arguments: Any, **options: Any) -> None:
        plan_finish(clock, *arguments, **options)
        clock.expected["leaving"] = 1e6

    monkeypatch.setattr(settling, "plan_finish", long)
    recipe = Recipe(
        members=("transformer", "ngram"), budget="1m", **{**SMALL, "training": TrainingSettings()}
    )
    result = train(text_file, tmp_path / "model", recipe, progress=False)
    assert set(result.members) == {"ngram"} and result.seconds < 60.0
    assert "transformer: no time is left for it" in Path(result.report).read_text("utf-8")
    assert load_model(tmp_path / "model").model.architecture == "ngram"


def test_one_network_in_a_mixture_has_a_cache(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(architecture="mixture", members=("minlstm",), **SMALL)
    result = train(text_file, tmp_path / "model", recipe, progress=False)
    assert list(result.members) == ["minlstm"] and set(result.weights) == {"minlstm", "cache"}
    # Calibrated on held-out text and with what the recent text says, it is better than alone.
    assert result.static_bits_per_byte < result.members["minlstm"]
    assert result.static_bits_per_byte == result.bits_per_byte and "static" in result.protocol
    report = Path(result.report).read_text("utf-8")
    assert "minlstm with its cache" in report and "its member alone, frozen" in report
    model = wenmo.load(tmp_path / "model")
    assert model.model.architecture == "mixture" and model.generate("今天", max_tokens=5, seed=1)[0].text
    texts = wenmo.Corpus.open(f"{result.model}.corpus").texts("test")
    scored = evaluate(load_model(tmp_path / "model"), texts, with_baselines=False, progress=False)
    assert scored.bits_per_byte == pytest.approx(result.bits_per_byte)


@pytest.mark.parametrize("architecture", ["transformer", "gru", "rnn", "ngram"])
def test_a_single_family(architecture: str, text_file: Path, tmp_path: Path) -> None:
    neural = architecture != "ngram"
    settings = dict(SMALL) if neural else {**SMALL, "model": ModelSettings(), "training": TrainingSettings()}
    result = train(text_file, tmp_path / "m", Recipe(architecture=architecture, **settings), progress=False)
    assert list(result.members) == [architecture] and result.weights == {}
    assert result.stopped == ("steps" if neural else "finished")
    if not neural:
        assert result.bits_per_byte == result.baselines["ngram"] < result.static_bits_per_byte
    assert (tmp_path / "m" / "training" / f"{architecture}.metrics.jsonl").exists() == neural


def test_an_interrupted_run_is_resumed_to_the_same_model(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two runs choose number format and threads by timing, each for itself; a resumed one keeps its choice.
    fixed = SMALL["training"].model_copy(update={"precision": "fp32", "workers": 1})
    recipe = Recipe(members=("transformer", "gru", "ngram"), **{**SMALL, "training": fixed})
    expected = train(text_file, tmp_path / "whole", recipe, progress=False)
    original = Trainer._step
    counts = {"steps": 0}

    def interrupted(self: Trainer, factor: float) -> None:
        original(self, factor)
        counts["steps"] += 1
        if counts["steps"] in (5, 20):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_step", interrupted)
    with pytest.raises(Interrupted, match="--resume"):
        train(text_file, tmp_path / "model", recipe, progress=False)
    assert not (tmp_path / "model").exists()
    with pytest.raises(OptionError, match="--resume"):
        train(text_file, tmp_path / "model", recipe, progress=False)
    with pytest.raises(Interrupted):
        train([], resume=tmp_path / "model", progress=False)
    result = train([], resume=tmp_path / "model", progress=False)
    assert result.bits_per_byte == expected.bits_per_byte
    assert result.members == expected.members
    ours, theirs = load_model(tmp_path / "model").model, load_model(tmp_path / "whole").model
    for name, tensor in ours.state_dict().items():
        assert np.array_equal(tensor.numpy(), theirs.state_dict()[name].numpy()), name
    with pytest.raises(ModelError, match="nothing to resume"):
        train([], resume=tmp_path / "model", progress=False)


def test_a_prepared_corpus_is_used_in_place(text_file: Path, tmp_path: Path) -> None:
    corpus = wenmo.prepare([text_file], tmp_path / "corpus", SMALL["corpus"], progress=False)
    recipe = Recipe(architecture="ngram", tokenizer=SMALL["tokenizer"])
    result = train(corpus.path, tmp_path / "model", recipe, progress=False)
    assert load_model(tmp_path / "model").info["corpus"]["path"] == str(corpus.path)
    assert not (tmp_path / "model.corpus").exists() and (corpus.path / "manifest.json").is_file()
    assert result.bytes == corpus.bytes("test")


def test_settings_that_a_prepared_corpus_does_not_heed_are_told(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = wenmo.prepare([text_file], tmp_path / "corpus", SMALL["corpus"], progress=False)
    own = corpus.manifest.settings
    for settings, told in (
        (CorpusSettings(**own.model_dump()), False),
        (CorpusSettings(test_fraction=0.3), True),
    ):
        recipe = Recipe(architecture="ngram", tokenizer=SMALL["tokenizer"], corpus=settings)
        train(corpus.path, tmp_path / f"model{told}", recipe, progress=True)
        note = f"keeps its test_fraction {own.test_fraction}; name the files themselves"
        assert (note in capsys.readouterr().err) == told


def test_the_budget_is_kept(text_file: Path, tmp_path: Path) -> None:
    changes = {"architecture": "transformer", "budget": "12s", "training": TrainingSettings()}
    recipe = Recipe(**{**SMALL, **changes})
    result = train(text_file, tmp_path / "model", recipe, progress=False)
    assert result.budget == 12.0 and result.stopped in ("budget", "early")
    # No claim about speed: only that a run that has a budget ends by it and not by steps.
    assert 0 < result.seconds < 120


def test_a_budget_that_is_used_up_still_ends_in_a_model(text_file: Path, tmp_path: Path) -> None:
    recipe = Recipe(**{**SMALL, "budget": "5s", "training": TrainingSettings()})
    long_ago = time.monotonic() - 100.0
    result = train(text_file, tmp_path / "model", recipe, progress=False, started=long_ago)
    assert list(result.members) == ["ngram"] and result.seconds > 100.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "soon"}, "--budget"),
        ({"budget": None}, "--training.steps"),
        ({"members": ("transformer", "cnn")}, "--members cnn"),
        ({"members": ("ngram", "ngram")}, "--members"),
        ({"architecture": "ngram", "size": "5M"}, "--size"),
        ({"training": TrainingSettings(steps=1, epochs=1.0)}, "--training.epochs"),
        (
            {"architecture": "transformer", "model": ModelSettings(recurrent_dropout=0.1)},
            "--model.recurrent-dropout",
        ),
        ({"architecture": "lstm", "model": ModelSettings(kv_heads=2)}, "--model.kv-heads"),
        ({"architecture": "gru", "model": ModelSettings(nonlinearity="relu")}, "--model.nonlinearity"),
        ({"architecture": "ngram", "training": TrainingSettings(lr=0.1)}, "--training.lr"),
        ({"training": TrainingSettings(optimizer="adamw", muon_lr=0.1)}, "--training.muon-lr"),
        ({"training": TrainingSettings(schedule="cosine", decay=0.1)}, "--training.decay"),
        ({"training": TrainingSettings(averaging="none", ema_share=0.1)}, "--training.ema-share"),
    ],
)
def test_contradictions_are_refused_by_name(
    changes: dict, message: str, text_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError) as caught:
        train(text_file, tmp_path / "model", Recipe(**changes), progress=False)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_too_little_text_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("短", encoding="utf-8")
    with pytest.raises(InputError):
        train(tmp_path / "a.txt", tmp_path / "model", Recipe(), progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt"]


def test_auto_trains_the_network_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert member_names(Recipe(), "cpu") == ["mingru", "ngram"]
    assert member_names(Recipe(budget="1m", model=ModelSettings(context=64, dropout=0.1)), "cpu") == [
        "mingru",
        "ngram",
    ]
    assert member_names(Recipe(), "cuda") == ["transformer", "ngram"]
    assert member_names(Recipe(training=TrainingSettings(device="cpu"))) == ["mingru", "ngram"]
    for recipe in (
        Recipe(architecture="mixture"),
        Recipe(members=("transformer", "ngram")),
        Recipe(model=ModelSettings(heads=2)),
        Recipe(training=TrainingSettings(compile="on")),
    ):
        assert member_names(recipe, "cpu") == ["transformer", "ngram"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert member_names(Recipe(), "cpu") == ["transformer", "ngram"]


def test_a_run_that_goes_on_elsewhere_keeps_its_network(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(
        corpus=SMALL["corpus"],
        tokenizer=SMALL["tokenizer"],
        training=SMALL["training"],
        model=ModelSettings(context=32),
    )
    original, steps = Trainer._step, []

    def interrupted(self: Trainer, factor: float) -> None:
        original(self, factor)
        steps.append(factor)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_step", interrupted)
    with pytest.raises(Interrupted):
        train(text_file, tmp_path / "model", recipe)
    assert "auto: mingru, which learns more than a Transformer" in capsys.readouterr().err
    monkeypatch.setattr(members, "FAVOURITE", {})  # as on a GPU
    result = train([], resume=tmp_path / "model", progress=False)
    assert list(result.members) == ["mingru", "ngram"]
    assert load_model(tmp_path / "model").info["recipe"]["members"] == ["mingru", "ngram"]
    assert "auto: mingru, which learns more" in Path(result.report).read_text("utf-8")


def test_members_of_one_family_are_numbered() -> None:
    recipe = Recipe(members=("lstm", "lstm", "ngram"))
    assert member_names(recipe) == ["lstm", "lstm-2", "ngram"]
    assert member_names(Recipe(architecture="gru")) == ["gru"]


@pytest.mark.parametrize(
    ("stopped", "waived", "reason"),
    [
        (None, [], "reads its text once"),
        (None, ["mingru"], "too little for mingru"),
        ("early", [], "the held-out loss no longer fell"),
        ("target", [], "the target was reached"),
        ("budget", [], None),
    ],
)
def test_it_is_said_why_a_run_ends_before_its_budget(
    stopped: str | None, waived: list[str], reason: str | None
) -> None:
    models = [Member("ngram", Any, [], None, None, 0.0, 1.0, 1.0)]  # type: ignore[arg-type]
    if stopped:
        models.append(Member("mingru", Any, [], stopped, None, 0.0, 1.0, 1.0))  # type: ignore[arg-type]
    told, late = Told(False), Told(False)
    clock = Clock(60.0, 0.0, now=lambda: 40.0)
    clock.plan_finish({"saving": 7.0})
    unused(clock, models, waived, told)
    assert len(told.lines) == (reason is not None)
    assert not told.lines or (reason in told.lines[0] and told.lines[0].startswith("13 s of the budget"))
    clock.plan_finish({"saving": 18.0})
    unused(clock, models, waived, late)
    assert late.lines == []
