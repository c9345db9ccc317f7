"""The command line: options become recipes, mistakes become sentences, results become JSON."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wenmo.cli import main
from wenmo.cli.options import merged, read_yaml, recipe_of
from wenmo.config import CorpusSettings, GenerationSettings, Recipe
from wenmo.errors import OptionError, WenmoError

RUN = [sys.executable, "-c", "import sys; from wenmo.cli import main; sys.exit(main())"]


def run_wenmo(*words, stdin="", **environment):
    """Runs the command line in a process of its own."""
    return subprocess.run(
        [*RUN, *words],
        input=stdin.encode(),
        capture_output=True,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.fixture
def trained(monkeypatch):
    """Records what the verb `train` hands to the workflow, in place of training."""
    import wenmo.workflow

    calls = []

    def train(paths, output=None, recipe=None, *, resume=None, progress=True, started=None):
        calls.append(
            {"paths": paths, "output": output, "recipe": recipe, "resume": resume, "progress": progress}
        )
        raise WenmoError("recorded")

    monkeypatch.setattr(wenmo.workflow, "train", train)
    return calls


def test_help_names_every_verb(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in ("prepare", "tokenizer", "train", "compare", "generate", "evaluate", "distil", "doctor"):
        assert verb in shown


@pytest.mark.parametrize("verb", ["prepare", "train", "compare", "generate", "evaluate", "distil", "doctor"])
def test_every_verb_has_the_common_options(capsys, verb):
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--json", "--quiet", "--debug"))


def test_every_field_of_the_recipe_is_an_option_with_help(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    for name, field in Recipe.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and hasattr(group, "model_fields"):
            for inner, described in group.model_fields.items():
                assert f"--{name}.{inner.replace('_', '-')}" in shown
                assert described.description
        else:
            assert f"--{name}" in shown
            assert field.description


def test_every_field_of_the_settings_is_an_option_of_its_verb(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    for verb, settings in (("generate", GenerationSettings), ("prepare", CorpusSettings)):
        assert main([verb, "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(f"--{name.replace('_', '-')}" in shown for name in settings.model_fields)


def test_version(capsys):
    from wenmo import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_train_options_reach_the_recipe(trained):
    words = ["train", "a.txt", "-", "b", "-o", "out", "--budget", "90s", "--arch", "mixture", "--size", "5M"]
    words += ["--members", "transformer,lstm", "--training.lr", "3e-4", "--model.layers", "4"]
    words += [
        "--corpus.valid-fraction",
        "0.1",
        "--corpus.no-deduplicate",
        "--generation.stop",
        "-",
        "--quiet",
    ]
    assert main(words) == 2
    (call,) = trained
    recipe = call["recipe"]
    assert call["paths"] == ["a.txt", "-", "b"]
    assert call["output"] == Path("out")
    assert call["progress"] is False
    assert (recipe.budget, recipe.architecture, recipe.size) == ("90s", "mixture", "5M")
    assert recipe.members == ("transformer", "lstm")
    assert (recipe.training.lr, recipe.model.layers) == (3e-4, 4)
    assert (recipe.corpus.valid_fraction, recipe.corpus.deduplicate) == (0.1, False)
    assert recipe.generation.stop == ("-",)
    assert recipe.training.clip == Recipe().training.clip


def test_options_go_before_yaml_before_defaults(trained, tmp_path):
    config = tmp_path / "recipe.yaml"
    config.write_text("budget: 2h\ntraining:\n  lr: 1e-3\n  clip: 0.5\ncorpus:\n  valid-fraction: 0.2\n")
    assert main(["train", "x", "--config", str(config), "--training.lr", "0.01", "--arch", "lstm"]) == 2
    recipe = trained[0]["recipe"]
    assert (recipe.budget, recipe.architecture) == ("2h", "lstm")
    assert (recipe.training.lr, recipe.training.clip) == (0.01, 0.5)
    assert recipe.corpus.valid_fraction == 0.2
    assert recipe.training.seed == 0


def test_an_option_equal_to_the_default_still_goes_before_yaml(trained, tmp_path):
    config = tmp_path / "recipe.yaml"
    config.write_text("budget: 2h\n")
    assert main(["train", "x", "--config", str(config), "--budget", Recipe().budget]) == 2
    assert trained[0]["recipe"].budget == Recipe().budget


def test_resume_needs_no_text(trained):
    assert main(["train", "--resume", "runs/x"]) == 2
    assert trained[0]["resume"] == Path("runs/x")
    assert trained[0]["recipe"] is None and trained[0]["paths"] == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train"], "needs text"),
        (["train", "a", "--training.lrr", "1"], "--training.lrr"),
        (["train", "a", "--lr", "1"], "--lr is no option of this; did you mean --training.lr?"),
        (["train", "a", "--seed=1"], "--corpus.seed or --generation.seed or --training.seed?"),
        (["train", "a", "--training.lr", "abc"], "--training.lr"),
        (["train", "a", "--training.lr", "-1"], "--training.lr"),
        (["train", "a", "--corpus.valid-fraction", "1.5"], "--corpus.valid-fraction"),
        (["train", "a", "--arch", "cnn"], "--architecture"),
        (["train", "a", "--budget"], "--budget"),
        (["generate"], "MODEL"),
        (["generate", "m", "--temperature", "-2"], "--temperature"),
        (["generate", "m", "--temperatur", "2"], "--temperatur"),
        (["generate", "m", "hello", "world"], "not expected here: world; put text"),
        (
            ["train", "a", "--members", "gru", "ngram"],
            "not expected here: ngram; put text with spaces in quotes",
        ),
        (["prepare", "a"], "--output"),
        (["evaluate", "m"], "PATHS"),
        (["tokenizer", "train", "a", "-o", "t", "--kind", "words"], "--kind"),
        (["fly"], "fly"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_option(capsys, words, named):
    assert main(words) == 2
    shown = capsys.readouterr()
    assert named in shown.err
    assert shown.err.startswith("wenmo: ")
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err and "pydantic" not in shown.err
    assert shown.out == ""


def test_a_mistake_with_json_is_an_object(capsys):
    assert main(["generate", "no-such-model", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert set(error) == {"error", "exit_code"}
    assert error["exit_code"] == 2 and "no-such-model" in error["error"]


def test_debug_shows_the_traceback():
    with pytest.raises(WenmoError, match="no-such-model"):
        main(["generate", "no-such-model", "--debug"])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("training:\n  lrr: 1\n", "training.lrr is not a field of the recipe; did you mean lr?"),
        ("budgt: 1m\n", "did you mean budget?"),
        ("training:\n  lr: -1\n", "training.lr must be greater than 0"),
        ("training: 5\n", "training"),
        ("- budget\n", "must hold fields"),
        ("a: [1\nb: 2\n", "line 2"),
    ],
)
def test_a_mistake_in_yaml_names_file_and_field(tmp_path, content, named):
    config = tmp_path / "recipe.yaml"
    config.write_text(content)
    with pytest.raises(OptionError) as raised:
        recipe_of(Recipe, config, None)
    assert named in str(raised.value)
    assert str(config) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_yaml_that_is_missing_empty_or_not_utf8(tmp_path):
    with pytest.raises(OptionError, match="cannot read"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "gbk.yaml").write_bytes("# 配方\n".encode("gb18030"))
    with pytest.raises(OptionError, match="UTF-8"):
        read_yaml(tmp_path / "gbk.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert recipe_of(Recipe, tmp_path / "empty.yaml", None) == Recipe()


def test_merged_keeps_the_other_fields_of_a_group():
    assert merged({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}}) == {"a": {"x": 1, "y": 4}, "b": 3}


def test_ctrl_c_ends_with_130_and_a_sentence(capsys, monkeypatch):
    import wenmo.workflow

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt("saved after step 7; go on with: wenmo train --resume out")

    monkeypatch.setattr(wenmo.workflow, "train", interrupted)
    assert main(["train", "a"]) == 130
    assert "saved after step 7" in capsys.readouterr().err


def test_a_bug_is_not_hidden(monkeypatch, capsys):
    import wenmo.workflow

    def broken(*_arguments, **_options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(wenmo.workflow, "train", broken)
    assert main(["train", "a"]) == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError" in shown and "--debug" in shown


def test_a_closed_pipe_is_quiet():
    process = subprocess.Popen([*RUN, "train", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with contextlib.suppress(BrokenPipeError):
        process.stdout.close()
    error = process.stderr.read()
    assert process.wait(60) == 0
    assert error == b""


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_chinese_passes_whatever_the_locale(locale):
    done = run_wenmo("generate", "没有这个模型", "--json", LANG=locale, LC_ALL=locale, PYTHONUTF8="0")
    assert done.returncode == 2
    assert "没有这个模型" in json.loads(done.stdout.decode("utf-8"))["error"]
    assert "没有这个模型" in done.stderr.decode("utf-8")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from wenmo.cli import main; main(['--help']); print(list(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for module in ("torch", "numpy", "daft", "numba", "tokenizers", "pydantic", "pyarrow"):
        assert f"'{module}'" not in done.stderr


@pytest.mark.parametrize("words", [["distil", "x"], ["train", "x", "--task", "sentiment"]])
def test_a_mistake_in_the_yaml_of_any_verb_is_told_with_its_file(words, tmp_path, capsys):
    config = tmp_path / "配方.yaml"
    config.write_text("no_such_field: 2\n", encoding="utf-8")
    assert main([*words, "--config", str(config)]) == 2
    assert f"{config}: no_such_field is not a field of the recipe" in capsys.readouterr().err
