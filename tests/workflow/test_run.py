from pathlib import Path

import pytest

from wenmo.config import Recipe
from wenmo.errors import ModelError, OptionError
from wenmo.workflow.run import new_run, open_run


def test_a_run_is_written_and_opened_again(tmp_path: Path) -> None:
    recipe = Recipe(architecture="lstm", budget="90s")
    run = new_run(["文本.txt"], tmp_path / "model", recipe)
    for name in ("model", "model.run"):
        again = open_run(tmp_path / name)
        assert again == run and again.recipe == recipe and again.paths == ("文本.txt",)
    assert not run.output.exists()


def test_taken_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(OptionError, match="exists already"):
        new_run(["a"], tmp_path / "full", Recipe())
    new_run(["a"], tmp_path / "model", Recipe())
    with pytest.raises(OptionError, match="--resume"):
        new_run(["a"], tmp_path / "model", Recipe())


def test_the_same_command_goes_on_with_its_unfinished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = new_run(["texts/小说.txt"], None, Recipe(), again=True)
    second = new_run(["texts/小说.txt"], None, Recipe(budget="1h"), again=True)
    assert (first.output.name, second.output.name) == ("小说", "小说-2")
    assert new_run(["texts/小说.txt"], None, Recipe(budget="1h"), again=True) == second
    assert new_run(["texts/小说.txt"], first.output, Recipe(), again=True) == first
    assert new_run(["texts/小说.txt"], None, Recipe()).output.name == "小说-3"
    with pytest.raises(OptionError, match="unfinished run"):
        new_run(["texts/other.txt"], first.output, Recipe(), again=True)


def test_a_text_in_an_object_store_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = "s3://library/novels/*.txt?endpoint_override=127.0.0.1:9000&scheme=http"
    assert new_run(["s3://library/novels/"], None, Recipe()).output.name == "novels"
    assert new_run([uri.replace("*", "hamlet")], None, Recipe()).output.name == "hamlet"


def test_free_names_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs = [new_run(["texts/novel.txt"], None, Recipe()).output for _ in range(3)]
    assert [output.name for output in outputs] == ["novel", "novel-2", "novel-3"]
    assert new_run(["-"], None, Recipe()).output == tmp_path / "runs" / "text"


def test_nothing_to_resume_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no interrupted run"):
        open_run(tmp_path / "nothing")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "wenmo.json").write_text("{}")
    with pytest.raises(ModelError, match="complete"):
        open_run(tmp_path / "done")
    run = new_run(["a"], tmp_path / "broken", Recipe())
    (run.directory / "run.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        open_run(tmp_path / "broken")
