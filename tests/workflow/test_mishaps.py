"""Ctrl-C and a full disk while a run trains, scores and saves: a sentence, nothing half-written, and it goes on."""

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from texts import documents
from wenmo.cli import main
from wenmo.models.storage import load_model

SHORT = [
    "--training.steps",
    "6",
    "--training.checkpoint-seconds",
    "0.001",
    "--model.layers",
    "1",
    "--model.width",
    "32",
]
PLACES = {
    "counting": "wenmo.workflow.counting.NgramModel.fit",
    "training": "wenmo.training.trainer.Trainer._step",
    "checkpoint": "wenmo.training.checkpoint.save_checkpoint",
    "a member": "wenmo.workflow.members.save_model",
    "scoring": "wenmo.models.mixture.MixtureModel.evidence",
    "the model": "wenmo.models.saving._dump",
    "the report": "wenmo.workflow.reporting.write_report",
    "the end": "wenmo.workflow.pipeline.clear",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Chinese and English text, which is where commands run."""
    text = "\n".join(documents("en", 8000) + documents("zh", 8000))
    (tmp_path / "文 text.txt").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def before(place: str, action: Callable[[], None], calls: int = 1) -> pytest.MonkeyPatch:
    """Lets something happen before a function is called for the `calls`th time."""
    patch = pytest.MonkeyPatch()
    owner, name = place.rsplit(".", 1)
    parts = owner.rsplit(".", 1)
    target: Any = __import__(parts[0], fromlist=[parts[1]])
    target = getattr(target, parts[1])
    original, count = getattr(target, name), [0]

    def called(*arguments: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] == calls:
            action()
        return original(*arguments, **options)

    patch.setattr(target, name, called)
    return patch


def ended(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, dict[str, Any]]:
    status = main([*words, "--json"])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return status, json.loads(shown.out)


def check_complete(folder: Path, result: dict[str, Any]) -> None:
    assert {path.name for path in folder.iterdir()} == {"文 text.txt", "out", "out.corpus"}
    assert load_model(folder / "out").info["scores"]["bits_per_byte"] == result["bits_per_byte"]
    assert (folder / "out" / "report.html").is_file()


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_while(place: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patch = before(
        PLACES[place], lambda: os.kill(os.getpid(), signal.SIGINT), calls=2 if place == "training" else 1
    )
    status, result = ended(capsys, ["train", "文 text.txt", "-o", "out", *SHORT])
    patch.undo()
    assert status == result["exit_code"] == 130
    assert "--resume" in result["error"]
    assert {path.name for path in here.iterdir()} <= {"文 text.txt", "out", "out.run"}
    if (here / "out").exists():
        load_model(here / "out")  # whole
    status, result = ended(capsys, ["train", "--resume", "out"])
    assert status == 0
    check_complete(here, result)


@pytest.mark.parametrize("place", ["checkpoint", "a member", "the model", "the report"])
def test_a_full_disk_while(place: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # stands for a full disk

    for words in (["train", "文 text.txt", "-o", "out", *SHORT], ["train", "--resume", "out"]):
        patch = before(PLACES[place], fill)
        try:
            status, result = ended(capsys, words)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            patch.undo()
        assert status == 2, result
        assert "no space left" in result["error"]
        if (here / "out").exists():
            load_model(here / "out")
        if not (here / "out.run").exists():  # nothing was worth keeping
            assert place == "a member"
            ended(capsys, ["train", "文 text.txt", "-o", "out", *SHORT])
            return
        assert "wenmo train --resume" in result["error"]
        assert not [path for path in here.rglob(".*") if path.name.startswith(".")]
    status, result = ended(capsys, ["train", "--resume", "out"])
    assert status == 0
    check_complete(here, result)
