"""The verb `translate` and the options of training, from the command line."""

import csv
import json
import os
import signal
from pathlib import Path

import case_translation
import pytest

import wenmo
from wenmo.cli import main
from wenmo.errors import Interrupted


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translation")
    paths = case_translation.write(folder, "zh")
    settings = {**case_translation.SETTINGS, "steps": 60, "direction": "both"}
    return wenmo.train_task("translation", paths, folder / "model", progress=False, **settings)


def run(capsys, *words):
    capsys.readouterr()
    status = main([str(word) for word in words])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_both_ways_are_scored_beside_the_nearest_pair(model):
    assert {"chrf", "bleu", "unique_outputs", "chrf_en-zh", "chrf_zh-en"} <= set(model.scores)
    assert "nearest training pair" in model.baselines
    assert any("tok:zh" in text for text in model.signatures.values())
    assert any("tok:13a" in text for text in model.signatures.values())
    assert any("passes over" in note for note in model.notes) and any(
        "columns:" in note for note in model.notes
    )
    page = Path(model.report).read_text("utf-8")
    assert "Learning curve" in page and "Alignment" in page


def test_the_script_tells_the_way_where_there_are_two(model, capsys):
    for text, to in (("The cat sees the dog.", "zh"), ("猫看见狗。", "en")):
        status, out, err = run(capsys, "translate", model.model, text, "--quiet")
        assert status == 0 and out.strip(), err
        assert run(capsys, "translate", model.model, text, "--to", to, "--quiet")[1] == out
    status, _, err = run(capsys, "translate", model.model, "The cat sees the dog.", "--to", "fr")
    assert status == 2 and "--to" in err


def test_documents_keep_their_layout(model, tmp_path, capsys):
    document = tmp_path / "notes.md"
    document.write_text("# The cat\n\n- The dog sees the cat. The cow likes the pig.\n\n  1. 123\n", "utf-8")
    status, out, err = run(
        capsys, "translate", model.model, "--to", "zh", "--file", document, "--output", tmp_path / "o.md"
    )
    assert status == 0, err
    lines = (tmp_path / "o.md").read_text("utf-8").split("\n")
    assert (
        lines[0].startswith("# ") and lines[1] == "" and lines[2].startswith("- ") and lines[4] == "  1. 123"
    )
    status, out, err = run(
        capsys, "translate", model.model, "--to", "zh", "--file", document, "--json", "--quiet"
    )
    assert json.loads(out)["documents"][0]["translation"] == "\n".join(lines), err


def test_tables_get_a_column(model, tmp_path, capsys):
    table = tmp_path / "rows.csv"
    table.write_text("id,text\n7,The cat sees the dog.\n8,The cow likes the pig.\n", "utf-8")
    status, _, err = run(
        capsys,
        "translate",
        model.model,
        "--to",
        "zh",
        "--file",
        table,
        "--output",
        tmp_path / "out.csv",
        "--quiet",
    )
    assert status == 0, err
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert [row["id"] for row in rows] == ["7", "8"] and all(row["translation"] for row in rows)


def test_alignment_is_shown_and_given(model, tmp_path, capsys):
    page = tmp_path / "a.html"
    words = ["translate", model.model, "The cat sees the dog.", "--to", "zh", "--alignment", page, "--json"]
    status, out, err = run(capsys, *words)
    assert status == 0, err
    (found,) = json.loads(out)["translations"]
    assert found["alignment"] and all(len(link) == 2 for link in found["alignment"])
    assert "<table>" in page.read_text("utf-8")


def test_a_model_that_repeats_itself_is_pointed_out(model, capsys, monkeypatch):
    from wenmo.seq2seq import translator

    def same(self, texts, **options):
        return [translator.Translation("是的。", (1,), 0.5, True) for _ in texts]

    monkeypatch.setattr(translator.Translator, "translate", same)
    texts = [f"The cat sees {n} dogs." for n in range(30)]
    status, _, err = run(capsys, "translate", model.model, *texts, "--to", "zh")
    assert status == 0 and "the model repeats itself" in err


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    from wenmo.seq2seq.training import PairTrainer

    step = PairTrainer._step

    def interrupting(self, factor):
        step(self, factor)
        if self._now.step == 10:
            os.kill(os.getpid(), signal.SIGINT)

    paths = case_translation.write(tmp_path, "en")
    monkeypatch.setattr(PairTrainer, "_step", interrupting)
    with pytest.raises(Interrupted, match="--resume"):
        wenmo.train_task("translation", paths, tmp_path / "m", progress=False, **case_translation.SETTINGS)
    monkeypatch.setattr(PairTrainer, "_step", step)
    result = wenmo.train_task("translation", resume=tmp_path / "m", progress=False)
    assert any("goes on" in note for note in result.notes) and not (tmp_path / "m.run").exists()
    assert wenmo.load_task(result.model).predict(["Katze mag Hund."])[0].translation


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--file", "DOC", "--output", "OUT.md", "--alignment", "A.html"], "leave it out for documents"),
        (["--file", "DOC", "--file", "DOC", "--output", "OUT.md"], "one document at a time"),
        (["text", "--file", "DOC"], "not both at once"),
        (["text", "--output", "OUT.docx"], "must end in"),
        (["text", "--to", "fr"], "not into 'fr'"),
        ([], "there is no text"),
    ],
)
def test_mistakes_are_sentences(model, tmp_path, capsys, words, said):
    (tmp_path / "d.txt").write_text("The cat.\n", "utf-8")
    words = [str(tmp_path / "d.txt") if word == "DOC" else word for word in words]
    to = [] if "--to" in words else ["--to", "zh"]
    status, _, err = run(capsys, "translate", model.model, *words, *to)
    assert status == 2 and said in err
