import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wenmo
from wenmo.cli import main
from wenmo.config import CorpusSettings, ModelSettings, TokenizerSettings, TrainingSettings
from wenmo.distillation import distil
from wenmo.distillation.pipeline import _read_plan
from wenmo.distillation.sources import find_corpus
from wenmo.distillation.student import StudentTrainer
from wenmo.errors import InputError, Interrupted, ModelError, OptionError
from wenmo.models.storage import load_model
from wenmo.training.threaded import can_fork
from wenmo.workflow import finish
from wenmo.workflow.clock import Clock

SMALL = {
    "model": ModelSettings(layers=1, width=32, context=32),
    "training": TrainingSettings(steps=12, batch_tokens=128, evaluations=3, precision="fp32", workers=1),
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, mixed_documents: list[str]) -> Path:
    path = tmp_path_factory.mktemp("texts") / "中文 and English.jsonl"
    path.write_text(
        "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in mixed_documents[::3]), "utf-8"
    )
    return path


@pytest.fixture(scope="module")
def teacher(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of a transformer and an n-gram model of both languages."""
    recipe = wenmo.Recipe(
        tokenizer=TokenizerSettings(kind="bpe", vocab_size=400),
        corpus=CorpusSettings(valid_fraction=0.15, test_fraction=0.15),
        **SMALL,
    )
    folder = tmp_path_factory.mktemp("teacher") / "mixed"
    wenmo.train(texts, folder, recipe, progress=False)
    return folder


def small(**changes: object) -> wenmo.DistilRecipe:
    return wenmo.DistilRecipe(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def student(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, wenmo.DistilResult]:
    """A student of the mixture."""
    folder = tmp_path_factory.mktemp("student") / "student"
    return folder, distil(teacher, (), folder, small(), progress=False)


def test_a_mixture_becomes_one_model(teacher: Path, student: tuple[Path, wenmo.DistilResult]) -> None:
    folder, result = student
    assert list(result.parameters) == ["student"] and result.weights == {}
    assert result.static_bits_per_byte == result.bits_per_byte
    assert set(result.teacher.weights) == {"transformer", "ngram"}
    assert sum(result.teacher.weights.values()) == pytest.approx(1.0)
    assert result.teacher.taught == 1.0 and result.teacher.models == [str(teacher)]
    assert result.teacher.bits_per_byte < result.teacher.static_bits_per_byte
    # The corpus of the teacher is used where it is, and nothing is left behind.
    assert [path.name for path in folder.parent.iterdir()] == ["student"]
    loaded = load_model(folder)
    assert (
        loaded.model.architecture == "transformer" and loaded.info["teacher"] == result.teacher.model_dump()
    )
    assert loaded.tokenizer is not None
    assert loaded.tokenizer.fingerprint == load_model(teacher).tokenizer.fingerprint  # type: ignore[union-attr]
    card = (folder / "README.md").read_text("utf-8")
    assert "distilled from mixed" in card and "its teacher" in card
    assert "its teacher" in Path(result.report).read_text("utf-8")
    model = wenmo.load(folder)
    assert (
        model.generate("今天", max_tokens=5, seed=1)[0].text
        == model.generate("今天", max_tokens=5, seed=1)[0].text
    )


def test_the_teacher_makes_a_difference_and_a_better_model(teacher: Path, tmp_path: Path) -> None:
    """More steps from the same beginning: with the teacher's help the held-out score is lower than without."""
    longer = {"training": TrainingSettings(steps=80, batch_tokens=256, evaluations=2)}
    alone = wenmo.train(
        str(teacher) + ".corpus", tmp_path / "alone",
        wenmo.Recipe(architecture="transformer", tokenizer=TokenizerSettings(kind="bpe", vocab_size=400),
                     **{**SMALL, **longer}), progress=False,
    )  # fmt: skip
    helped = distil(teacher, (), tmp_path / "helped", small(**longer), progress=False)
    assert helped.bytes == alone.bytes
    assert helped.static_bits_per_byte < alone.static_bits_per_byte


@pytest.mark.parametrize("stop", ["teaching", "training"])
def test_an_interrupted_run_is_resumed_to_the_same_student(
    stop: str,
    teacher: Path,
    student: tuple[Path, wenmo.DistilResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, expected = student
    with monkeypatch.context() as patch:
        if stop == "training":
            original = StudentTrainer._step

            def interrupted(self: StudentTrainer, factor: float) -> None:
                original(self, factor)
                if self._progress.step == 5:
                    os.kill(os.getpid(), signal.SIGINT)

            patch.setattr(StudentTrainer, "_step", interrupted)
        else:
            from wenmo.distillation import teaching

            asked = teaching.foretell_fold
            folds = []

            def tired(*arguments: object) -> None:
                folds.append(1)
                if len(folds) == 2:
                    raise KeyboardInterrupt
                asked(*arguments)  # type: ignore[arg-type]

            patch.setattr(teaching, "foretell_fold", tired)
        with pytest.raises(Interrupted, match=r"distil --resume"):
            distil(teacher, (), tmp_path / "student", small(), progress=False)
    with pytest.raises(ModelError, match=r"wenmo distil --resume"):
        wenmo.train([], resume=tmp_path / "student", progress=False)
    result = distil(resume=tmp_path / "student", progress=False)
    assert result.bits_per_byte == expected.bits_per_byte
    ours, theirs = load_model(tmp_path / "student").model, load_model(whole).model
    for name, tensor in ours.state_dict().items():
        assert np.array_equal(tensor.numpy(), theirs.state_dict()[name].numpy()), name
    with pytest.raises(ModelError, match="nothing to resume"):
        distil(resume=tmp_path / "student", progress=False)


def test_several_teachers_and_another_family(teacher: Path, texts: Path, tmp_path: Path) -> None:
    first = teacher / "members" / "transformer"
    second = teacher / "members" / "ngram"
    with pytest.raises(InputError, match="name the text"):
        distil([first, second], (), tmp_path / "student", small(), progress=False)
    assert not list(tmp_path.iterdir())
    result = distil(
        [first, second], texts, tmp_path / "student", small(architecture="gru", hard=0.0), progress=False
    )
    assert load_model(tmp_path / "student").model.architecture == "gru"
    assert set(result.teacher.weights) == {"transformer", "ngram"}
    card = (tmp_path / "student" / "README.md").read_text("utf-8")
    assert "not the corpus that the teacher was trained on" in card
    # The corpus that was made for it stays beside the student.
    assert (tmp_path / "student.corpus" / "manifest.json").is_file()


@pytest.mark.parametrize("member", ["ngram", "transformer"])
def test_a_single_model_can_teach(member: str, teacher: Path, tmp_path: Path) -> None:
    corpus = str(teacher) + ".corpus"
    result = distil(teacher / "members" / member, corpus, tmp_path / "student", small(), progress=False)
    assert result.teacher.weights == {member: pytest.approx(1.0)}
    assert ("ngram" in result.baselines) == (member == "ngram")


def test_a_student_can_keep_a_cache(teacher: Path, tmp_path: Path) -> None:
    plain = distil(teacher, (), tmp_path / "plain", small(), progress=False)
    result = distil(teacher, (), tmp_path / "cached", small(cache=True), progress=False)
    assert result.members == plain.members and set(result.weights) == {"transformer", "cache"}
    assert result.bits_per_byte < plain.bits_per_byte
    assert set(result.gains) == {"cache"} and result.gains["cache"] > 0.0
    assert "its member alone and its teacher, frozen" in Path(result.report).read_text("utf-8")
    loaded = load_model(tmp_path / "cached")
    assert loaded.model.architecture == "mixture" and list(loaded.model.saved_members()) == ["transformer"]
    assert f"({plain.bits_per_byte:.3f} without)" in (tmp_path / "cached" / "README.md").read_text("utf-8")


def test_a_cache_that_does_not_pay_is_left_out(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wenmo.models.mixture.mixer_pays", lambda *_: False)
    result = distil(teacher, (), tmp_path / "cached", small(cache=True), progress=False)
    assert result.weights == {} and load_model(tmp_path / "cached").model.architecture == "transformer"
    assert "the cache does not pay" in (tmp_path / "cached" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("cache", [False, True])
def test_a_budget_is_divided(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: bool
) -> None:
    planned: list[dict[str, float]] = []
    original = finish.plan_finish

    def plan(clock: Clock, *args: Any, **options: Any) -> None:
        original(clock, *args, **options)
        planned.append({**clock.expected, "training": clock.training(1)})

    monkeypatch.setattr(finish, "plan_finish", plan)
    recipe = small(training=TrainingSettings(), budget="20s", cache=cache)
    result = distil(teacher, (), tmp_path / "student", recipe, progress=False)
    assert result.budget == 20.0 and result.stopped in ("budget", "early")
    assert 0.0 < result.teacher.taught <= 1.0
    assert len(planned) == 1 and planned[0]["scores"] > 0.0 and planned[0]["saving"] > 0.0
    assert (planned[0]["weights"] > 0.0) == cache
    recorded = json.loads((tmp_path / "student" / "wenmo.json").read_text("utf-8"))["info"]["recipe"]
    given = recorded["trained"]["student"]["training"]["seconds"]
    assert given == pytest.approx(max(planned[0]["training"], 1.0), rel=0.1)


def test_mistakes_are_said_in_a_sentence(teacher: Path, texts: Path, tmp_path: Path) -> None:
    application = tmp_path / "mood"
    application.mkdir()
    (application / "task.json").write_text('{"task": "sentiment"}')
    other = tmp_path / "other"
    recipe = wenmo.Recipe(architecture="ngram", tokenizer=TokenizerSettings(kind="char"))
    wenmo.train(texts, other, recipe, progress=False)
    here = sorted(path.name for path in tmp_path.iterdir())
    for model, changes, error, sentence in [
        ([], {}, OptionError, "needs a model"),
        (application, {}, ModelError, "application"),
        (tmp_path / "none", {}, ModelError, "no model directory"),
        ([teacher, other], {}, ModelError, "different tokenizers"),
        (teacher, {"architecture": "ngram"}, OptionError, "--arch ngram"),
        (teacher, {"size": "many"}, OptionError, "--size many"),
        (teacher, {"training": TrainingSettings(label_smoothing=0.1)}, OptionError, "label-smoothing"),
        (teacher, {"training": TrainingSettings(softmax="sampled")}, OptionError, "softmax"),
        (teacher, {"budget": "soon"}, OptionError, "--budget"),
    ]:
        with pytest.raises(error, match=sentence):
            distil(model, (), tmp_path / "student", small(**changes), progress=False)
    with pytest.raises(OptionError, match="--resume goes on"):
        distil(teacher, resume=tmp_path / "student")
    with pytest.raises(OptionError, match="exists already"):
        distil(teacher, (), other, small(), progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == here


def test_a_corpus_that_is_gone_is_said_and_one_that_moved_is_found(teacher: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(teacher, tmp_path / "moved")
    facts = json.loads((tmp_path / "moved" / "wenmo.json").read_text("utf-8"))
    facts["info"]["corpus"]["path"] = str(tmp_path / "nowhere")
    (tmp_path / "moved" / "wenmo.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(InputError, match=r"nowhere any more.*wenmo distil"):
        distil(tmp_path / "moved", (), tmp_path / "student", small(), progress=False)
    shutil.copytree(str(teacher) + ".corpus", tmp_path / "moved.corpus")
    moved = str(tmp_path / "moved")
    corpus, own = find_corpus(wenmo.load(moved), [moved], (), wenmo.Recipe(), tmp_path / "made", False)
    assert own and corpus.path == tmp_path / "moved.corpus"


def test_the_command_line(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["distil", str(teacher), "-o", str(tmp_path / "s"), "--arch", "lstm", "--model.layers", "1",
             "--model.width", "24", "--model.context", "32", "--training.steps", "4", "--training.batch-tokens", "128",
             "--hard", "0.5", "--quiet", "--json"]  # fmt: skip
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["teacher"]["hard"] == 0.5 and list(printed["members"]) == ["lstm"]
    words[words.index("4")], words[3] = "12", str(tmp_path / "cached")
    assert main([*words[:-1], "--cache"]) == 0
    shown = capsys.readouterr().out
    assert "student with its cache, " in shown and "student without its cache" in shown
    assert main(["distil", "--json"]) == 2
    assert "needs a model" in json.loads(capsys.readouterr().out)["error"]
    assert main(["distil", str(teacher), "--hard", "1.5"]) == 2
    assert "--hard" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", '{"folds": "four"}'])
def test_a_damaged_plan_of_the_teaching_is_a_sentence(content, tmp_path):
    path = tmp_path / "teaching.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"teaching\.json is damaged; delete the folder of the run"):
        _read_plan(path)


@pytest.mark.skipif(not can_fork(), reason="no process can be forked that trains")
def test_a_student_of_processes_is_that_of_threads(teacher: Path, tmp_path: Path) -> None:
    found = []
    for kind in ("threads", "processes"):
        training = SMALL["training"].model_copy(update={"workers": 2, "worker_kind": kind, "steps": 4})
        distil(teacher, (), tmp_path / kind, small(training=training), progress=False)
        found.append(load_model(tmp_path / kind).model.state_dict())
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
