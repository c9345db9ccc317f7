"""What every application must pass, in both languages; a new one is taken in by its file and its case.

The case of a task NAME is `tests/tasks/case_NAME.py`, which has

    SETTINGS                    settings that make training on the tiny set take a few seconds
    write(folder, language)     writes tiny examples and returns their paths
    inputs(language)            inputs for `predict`
    words(model, language)      words of a command line that uses the model (a verb and its arguments)
    bad(folder)                 [(paths, settings, what the message says), ...] that must be refused
"""

import importlib
import json
import re
import resource
import shutil
import sys
from pathlib import Path

import pytest

import wenmo
from wenmo.cli import main
from wenmo.errors import ResourceError, WenmoError
from wenmo.files import atomic_directory
from wenmo.tasking import running
from wenmo.tasks import get_task, task_names, verbs

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))
LANGUAGES = ("zh", "en")
PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib"}
ALL = [(name, language) for name in task_names() for language in LANGUAGES]


def case(name):
    return importlib.import_module(f"case_{name}")


class Trained:
    """A task trained on its tiny set, once per session."""

    def __init__(self, name, language, folder):
        self.name, self.language = name, language
        task = get_task(name)
        (folder / "data").mkdir()
        self.paths = case(name).write(folder / "data", language)
        self.outcomes = []
        train = type(task).train

        def recorded(*arguments):
            self.outcomes.append(train(*arguments))
            return self.outcomes[-1]

        type(task).train = recorded
        try:
            self.result = wenmo.train_task(
                name, self.paths, folder / "model", progress=False, **case(name).SETTINGS
            )
        finally:
            type(task).train = train
        self.model = Path(self.result.model)

    @property
    def in_memory(self):
        return self.outcomes[0].model


@pytest.fixture(scope="session")
def trained_tasks():
    return {}


@pytest.fixture(params=ALL, ids="-".join)
def trained(request, trained_tasks, tmp_path_factory):
    name, language = request.param
    if request.param not in trained_tasks:
        trained_tasks[request.param] = Trained(name, language, tmp_path_factory.mktemp(f"{name}-{language}"))
    return trained_tasks[request.param]


def plain(results):
    """Results as JSON, numbers rounded where only the last bits may differ between batches."""

    def rounded(value):
        if isinstance(value, float):
            return round(value, 5)
        if isinstance(value, dict):
            return {key: rounded(item) for key, item in value.items()}
        return [rounded(item) for item in value] if isinstance(value, list | tuple) else value

    return [rounded(r.model_dump(mode="json") if hasattr(r, "model_dump") else r) for r in results]


@pytest.mark.parametrize("name", task_names())
def test_every_option_is_explained(name):
    task = get_task(name)
    assert task.name == name and task.summary.endswith(".") and task.verbs
    for field, info in task.settings.model_fields.items():
        assert info.description, f"{field} of {name} has no docstring"


def test_no_two_tasks_share_a_verb():
    assert len(verbs()) == sum(len(get_task(name).verbs) for name in task_names())


def test_the_result_says_how_good_it_is(trained):
    result = trained.result
    assert result.scores[result.metric] == result.score
    assert result.baselines and all(result.metric in scores for scores in result.baselines.values())
    assert result.verdict.endswith(".") and sum(result.examples.values()) > 0
    assert result.seconds < result.budget + 30


def test_the_folder_is_complete_and_safe(trained):
    files = [file for file in trained.model.rglob("*") if file.is_file()]
    assert {"task.json", "README.md", "report.html"} <= {file.name for file in files}
    assert not [file for file in files if file.suffix in PICKLES]
    page = (trained.model / "report.html").read_text("utf-8")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert trained.result.verdict.split()[0] in page
    assert not trained.model.with_name("model.run").exists()


def test_a_loaded_model_answers_as_the_trained_one(trained, tmp_path):
    inputs = case(trained.name).inputs(trained.language)
    expected = plain(trained.in_memory.predict(inputs))
    moved = shutil.copytree(trained.model, tmp_path / "moved")
    loaded = wenmo.load_task(moved)
    assert len(expected) == len(inputs)
    assert plain(loaded.predict(inputs)) == expected
    assert plain(loaded.predict(inputs)) == expected, "a second answer differs from the first"
    assert plain(loaded.predict([])) == []


def test_inputs_do_not_depend_on_their_neighbours(trained):
    inputs = case(trained.name).inputs(trained.language)
    loaded = wenmo.load_task(trained.model)
    together = plain(loaded.predict(inputs))
    assert [plain(loaded.predict([item]))[0] for item in inputs] == together


def test_a_verb_prints_one_json_object(trained, capsys):
    words = case(trained.name).words(trained.model, trained.language)
    capsys.readouterr()
    assert main([*map(str, words), "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)
    assert main([*map(str, words), "--quiet"]) == 0
    assert capsys.readouterr().out.strip()


def test_damaged_models_are_refused_in_a_sentence(trained, tmp_path):
    inputs = case(trained.name).inputs(trained.language)
    whole = [f.relative_to(trained.model) for f in sorted(trained.model.rglob("*")) if f.is_file()]
    for name in whole:
        if name.suffix in (".html", ".md"):
            continue
        folder = shutil.copytree(trained.model, tmp_path / "damaged")
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).write_bytes(data[: len(data) // 2])
        try:
            wenmo.load_task(folder).predict(inputs)
        except WenmoError as error:
            assert len(str(error)) > 10
        else:
            assert len(data) < 4 or name.name in case(trained.name).__dict__.get("OPTIONAL", ()), (
                f"half of {name} was taken for whole"
            )
        finally:
            shutil.rmtree(folder)


@pytest.mark.parametrize("name", task_names())
def test_bad_examples_are_refused_and_leave_nothing(name, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    refused = case(name).bad(data)
    assert refused
    for number, (paths, settings, said) in enumerate(refused):
        with pytest.raises(WenmoError, match=said):
            wenmo.train_task(
                name, paths, tmp_path / f"m{number}", progress=False, **{**case(name).SETTINGS, **settings}
            )
        assert [entry.name for entry in tmp_path.iterdir()] == ["data"], (
            f"case {number} left something behind"
        )


@pytest.mark.parametrize("name", task_names())
@pytest.mark.parametrize(("file", "content"), [("empty.csv", b""), ("binary.csv", b"\x89PNG\x00\x01\x02")])
def test_files_without_examples_are_refused(name, file, content, tmp_path):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(WenmoError):
        wenmo.train_task(name, tmp_path / file, tmp_path / "m", progress=False, **case(name).SETTINGS)
    assert [entry.name for entry in tmp_path.iterdir()] == [file]


def test_a_full_disk_while_saving_is_a_sentence(trained, tmp_path):
    """No file may grow: every writer of every task must turn that into the same sentence, and leave nothing."""
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))
    try:
        with (
            pytest.raises(ResourceError, match="no space left"),
            atomic_directory(tmp_path / "model") as temporary,
        ):
            trained.in_memory.save(temporary)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_another_tasks_model_is_refused(trained):
    others = [name for name in task_names() if name != trained.name]
    for name in others[:1]:
        with pytest.raises(WenmoError, match=f"trained for {trained.name}"):
            running.load_task(get_task(name), trained.model)
