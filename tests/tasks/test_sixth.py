"""A new task needs one file: it is listed, trained, saved, opened, used, refused and resumed like the others."""

import io
import json
import sys

import pytest

import wenmo
from wenmo.cli import main
from wenmo.errors import Interrupted, ModelError, OptionError
from wenmo.tasks import get_task, task_names, verbs

ROWS = {
    "zh": "文本,标签\n好看,好\n真好,好\n不错,好\n难看,坏\n很好,好\n",
    "en": "text,label\nfine,good\nnice,good\nwell,good\nawful,bad\ngreat,good\n",
}
LABEL = {"zh": "好", "en": "good"}


@pytest.fixture(params=["zh", "en"])
def rows(request, tmp_path):
    path = tmp_path / f"{request.param}.csv"
    path.write_text(ROWS[request.param], encoding="utf-8")
    return request.param, path


def run(capsys, *words):
    capsys.readouterr()
    status = main([str(word) for word in words])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_it_is_found_by_its_file(sixth):
    assert sixth in task_names()
    assert get_task("majority").name == sixth
    assert verbs()["most-frequent"] == ("majority", "Say the most frequent label.")


def test_it_is_trained_and_used_from_the_command_line(sixth, rows, tmp_path, capsys):
    language, path = rows
    folder = tmp_path / "model"
    status, out, err = run(capsys, "train", "--task", sixth, path, "-o", folder, "--json", "--budget", "5s")
    assert status == 0, err
    result = json.loads(out)
    assert result["task"] == sixth and result["metric"] == "accuracy" and result["budget"] == 5.0
    assert result["examples"]["train"] + result["examples"]["test"] == 5
    assert "label from" in result["notes"][0]
    assert not folder.with_name("model.run").exists()
    page = (folder / "report.html").read_text("utf-8")
    assert "好&lt;" in page and "&lt;b&gt;" in page and LABEL[language] in page
    assert "http" not in page.replace("http-equiv", "")
    assert "accuracy" in (folder / "README.md").read_text("utf-8")
    status, out, err = run(capsys, "most-frequent", folder, "随便", "any", "--quiet")
    assert (status, out) == (0, f"{LABEL[language]}\n" * 2), err
    status, out, _ = run(
        capsys, "most-frequent", folder, "--file", path, "--json", "--loud", "-o", tmp_path / "out"
    )
    assert (tmp_path / "out").read_text("utf-8").startswith(LABEL[language].upper())
    assert json.loads(out)["labels"] == [LABEL[language].upper()] * 5


def test_standard_input_is_read(sixth, rows, tmp_path, capsys, monkeypatch):
    language, path = rows
    wenmo.train_task(sixth, path, tmp_path / "model", progress=False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("一\n二\n".encode()), "utf-8"))
    status, out, err = run(capsys, "most-frequent", tmp_path / "model", "-")
    assert (status, out) == (0, f"{LABEL[language]}\n" * 2), err


def test_the_bounds_of_a_verbs_option_name_it(sixth, rows, tmp_path, capsys):
    wenmo.train_task(sixth, rows[1], tmp_path / "model", progress=False)
    assert run(capsys, "most-frequent", tmp_path / "model", "x", "--times", "2")[1].count("\n") == 2
    status, _, err = run(capsys, "most-frequent", tmp_path / "model", "x", "--times", "0")
    assert (status, err) == (2, "wenmo: --times must be greater than or equal to 1, not 0\n")


def test_it_is_used_from_python(sixth, rows, tmp_path):
    language, path = rows
    result = wenmo.train_task(sixth, str(path), tmp_path / "model", seed=3, progress=False)
    assert wenmo.load_task(result.model).predict(["x"]) == [LABEL[language]]


def test_help_shows_its_options(sixth, capsys):
    status, out, _ = run(capsys, "train", "--task", sixth, "--help")
    assert status == 0
    for option in ("--label-field", "--from", "--budget", "--valid-fraction", "--json", "--resume"):
        assert option in out
    assert "--from-model" not in out and "--training.lr" not in out
    status, out, _ = run(capsys, "most-frequent", "--help")
    assert "--loud" in out and "--json" in out and "terminal" not in out.lower()
    status, out, _ = run(capsys, "--help")
    assert "most-frequent" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "majorety"], "did you mean majority"),
        (["ROWS", "--task"], "needs a value"),
        (["--task", "majority"], "needs examples"),
        (["--task", "majority", "ROWS", "--label-field", "没有"], "--label-field: there is no column '没有'"),
        (["--task", "majority", "ROWS", "--training.lr", "1"], "training.lr"),
        (["--task", "majority", "ROWS", "--from", "somewhere"], "--from: majority does not begin"),
        (["--task", "majority", "ROWS", "--budget", "soon"], "soon"),
        (["--task", "majority", "ROWS", "--valid-fraction", "2"], "--valid-fraction"),
        (["--task", "majority", "nowhere.csv"], "nowhere.csv does not exist"),
        (["--task", "majority", "--resume", "nowhere"], "no interrupted run"),
    ],
)
def test_mistakes_are_sentences(sixth, rows, tmp_path, capsys, words, said):
    _, path = rows
    words = [str(path) if word == "ROWS" else word for word in words]
    given = [] if "--resume" in words else ["-o", tmp_path / "model"]
    status, out, err = run(capsys, "train", *given, *words)
    assert status == 2, (out, err)
    assert said in err and "Traceback" not in err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name]


def test_a_taken_folder_is_refused(sixth, rows, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="exists already"):
        wenmo.train_task(sixth, rows[1], tmp_path / "model", progress=False)


def test_an_interrupt_leaves_nothing_or_says_how_to_go_on(sixth, rows, tmp_path, capsys):
    _, path = rows
    folder = tmp_path / "model"
    with pytest.raises(Interrupted, match="nothing was left behind"):
        wenmo.train_task(sixth, path, folder, interrupt="early", progress=False)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    with pytest.raises(Interrupted, match="--resume"):
        wenmo.train_task(sixth, path, folder, interrupt="late", progress=False)
    with pytest.raises(OptionError, match="unfinished run"):
        wenmo.train_task(sixth, path, folder, progress=False)
    status, out, err = run(capsys, "train", "--resume", folder, "--json")
    assert status == 0, err
    assert json.loads(out)["task"] == sixth
    with pytest.raises(ModelError, match="nothing to resume"):
        wenmo.train_task(sixth, resume=folder)


def test_damaged_and_foreign_models_are_refused(sixth, rows, tmp_path):
    result = wenmo.train_task(sixth, rows[1], tmp_path / "model", progress=False)
    with pytest.raises(ModelError, match="there is no model directory"):
        wenmo.load_task(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="holds no model"):
        wenmo.load_task(tmp_path)
    record = tmp_path / "model" / "task.json"
    content = json.loads(record.read_text("utf-8"))
    record.write_text(json.dumps({**content, "format_version": 99}), "utf-8")
    with pytest.raises(ModelError, match="format version 99"):
        wenmo.load_task(result.model)
    record.write_text(json.dumps(content)[:40], "utf-8")
    with pytest.raises(ModelError, match="damaged"):
        wenmo.load_task(result.model)


def test_an_unknown_setting_is_refused(sixth, rows):
    with pytest.raises(OptionError, match="colour is no setting of majority"):
        wenmo.train_task(sixth, rows[1], colour="red")
