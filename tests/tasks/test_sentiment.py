import csv
import json
import re

import pytest

import wenmo
from reviews import reviews
from wenmo.cli import main
from wenmo.errors import OptionError, ResourceError


def write(path, rows, header=("text", "label")):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([header, *rows])
    return path


@pytest.fixture(scope="module", params=["zh", "en"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    rows = reviews(request.param, 80)
    train = write(
        folder / "train.csv", [*rows[:50], ("", "pos"), ("text without label", ""), ("oops", "POS")]
    )
    test = write(folder / "test.tsv", rows[40:], ("review", "sentiment"))
    result = wenmo.train_task(
        "sentiment", train, folder / "model", test=(str(test),), budget="20s", threads=1, progress=False
    )
    return request.param, folder, result


def test_what_was_left_out_and_leaked_is_told(trained):
    _, _, result = trained
    assert result.dropped == {"empty text": 1, "no label": 1}
    assert result.examples == {"train": 51, "test": 40}
    assert any("'POS'" in note for note in result.notes)
    assert any("10 of 40 test texts" in note for note in result.notes)
    assert {"accuracy", "macro_f1", "log_loss", "calibration_error", "accuracy_unseen"} <= set(result.scores)
    assert result.scores["accuracy_unseen"] > 0.8
    assert "10 of these texts also stand" in result.verdict


def test_the_report_shows_confusion_and_words(trained):
    _, folder, _ = trained
    page = (folder / "model" / "report.html").read_text("utf-8")
    assert "Which labels are taken for which" in page and "<mark" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_files_of_texts_become_files_of_labels(trained, suffix, tmp_path, capsys):
    language, folder, _ = trained
    file = write(
        tmp_path / "new.csv",
        [(text, label, "x") for text, label in reviews(language, 10, 7)],
        ("text", "label", "id"),
    )
    output, page = tmp_path / f"out{suffix}", tmp_path / "words.html"
    words = ["sentiment", folder / "model", "--file", file, "-o", output, "--page", page]
    assert main([str(word) for word in words]) == 0
    assert re.search(r"(neg|pos) +\d", capsys.readouterr().out)
    if suffix in (".csv", ".tsv"):
        with output.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened, delimiter="," if suffix == ".csv" else "\t"))
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    else:
        import pyarrow.parquet as pq

        rows = pq.read_table(output).to_pylist()
    assert list(rows[0]) == ["text", "label", "id", "predicted_label", "probability"]
    assert sum(row["label"] == row["predicted_label"] for row in rows) >= 8
    assert "<mark" in page.read_text("utf-8")


def test_texts_of_the_command_line_are_explained(trained, capsys):
    language, folder, _ = trained
    text = {"zh": "味道很差，非常失望", "en": "dirty rooms, never again"}[language]
    assert main(["sentiment", str(folder / "model"), text, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["results"][0]
    assert found["label"] == "neg" and 0.5 < found["probability"] <= 1
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["words"] and all(isinstance(word, str) for word, _ in found["words"])


def test_empty_texts_are_counted(trained, capsys):
    _, folder, _ = trained
    assert main(["sentiment", str(folder / "model"), "", "  "]) == 0
    assert "2 texts are empty" in capsys.readouterr().err


def test_another_format_than_the_four_is_refused_before_the_work(trained, capsys):
    _, folder, _ = trained
    assert main(["sentiment", str(folder / "model"), "a", "-o", "out.xlsx"]) == 2
    assert "must end in" in capsys.readouterr().err


def test_missing_libraries_and_folders_are_told_before_anything_is_read(trained, tmp_path, monkeypatch):
    _, folder, _ = trained
    with pytest.raises(OptionError, match="no folder"):
        wenmo.train_task(
            "sentiment", "nowhere.csv", tmp_path / "m", from_model=str(tmp_path / "lm"), progress=False
        )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ResourceError, match="needs scikit-learn and scipy"):
        wenmo.load_task(folder / "model")


def test_equal_seeds_give_equal_models(tmp_path):
    path = write(tmp_path / "a.csv", reviews("zh", 40))
    for name in ("one", "two"):
        wenmo.train_task(
            "sentiment", path, tmp_path / name, budget="20s", model="linear", threads=1, progress=False
        )
    one, two = ((tmp_path / name / "linear.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_rare_labels_are_reported(tmp_path):
    rows = reviews("en", 200)
    pos = [row for row in rows if row[1] == "pos"]
    neg = [row for row in rows if row[1] == "neg"][:12]
    path = write(tmp_path / "a.csv", [*pos, *neg])
    result = wenmo.train_task("sentiment", path, tmp_path / "m", budget="20s", threads=1, progress=False)
    assert any(re.search(r"pos 100 \(89%\), neg 12 \(11%\)", note) for note in result.notes)
    assert result.scores["macro_f1"] > result.baselines["most frequent label"]["macro_f1"]
