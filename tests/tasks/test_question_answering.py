import json
import os

import pytest
from case_question_answering import SETTINGS, passages, squad

import wenmo
from wenmo.answering.asking import documents_and_question
from wenmo.answering.contextual import LanguageVectors
from wenmo.cli import main
from wenmo.errors import InputError, OptionError

TRAINED = {"steps": 150, "hidden": 16, "lr": 1e-2, "dropout": 0.0, "made_questions": 0, "threads": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def model(language):
        if language not in made:
            folder = tmp_path_factory.mktemp(language)
            (folder / "q.json").write_text(json.dumps(squad(language), ensure_ascii=False), "utf-8")
            made[language] = wenmo.train_task(
                "question_answering", folder / "q.json", folder / "model", progress=False, **TRAINED
            )
        return made[language]

    return model


@pytest.fixture
def documents(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for language in ("zh", "en"):
        folder = tmp_path / language
        folder.mkdir()
        for number, (text, _) in enumerate(passages(language)):
            (folder / f"{number}.txt").write_text(f"\n{text}\n", "utf-8")
    return tmp_path


QUESTIONS = {"zh": ("刘洋出生在哪里？", "深圳", "3.txt"), "en": ("Where was Dan born?", "Cairo", "3.txt")}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_asking_documents(models, documents, capsys, language):
    question, answer, file = QUESTIONS[language]
    words = ["ask", models(language).model, str(documents / language), question]
    assert main([*words, "--json", "--quiet"]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert set(asked) == {"question", "found", "answer", "confidence", "answers", "considered", "note"}
    best = (asked["answers"] + asked["considered"])[0]
    assert best["source"].endswith(file) and best["line"] == 2
    assert best["passage"][best["start"] : best["end"]] == best["text"] == answer
    assert 0 <= best["confidence"] <= 1 and 0 < best["start_probability"] <= 1
    assert asked["found"] == bool(asked["answers"])
    assert main(words) == 0
    shown = capsys.readouterr()
    assert answer in shown.out and "line 2" in shown.out and "12 files unchanged" in shown.err


@pytest.mark.parametrize(("language", "other"), [("zh", "en"), ("en", "zh")])
def test_another_language_is_said_in_a_sentence(models, documents, capsys, language, other):
    question = QUESTIONS[language][0].replace("Dan", "somebody")
    assert main(["ask", models(language).model, str(documents / other), question, "--quiet"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("No answer found.") and "; ask in " in out


def test_documents_without_text_and_missing_ones(models, documents, capsys):
    (documents / "empty.txt").write_text("\n \n", "utf-8")
    assert main(["ask", models("zh").model, str(documents / "empty.txt"), "谁？"]) == 2
    assert "no text in the documents" in capsys.readouterr().err
    assert main(["ask", models("zh").model, str(documents / "nowhere"), "谁？"]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["ask", models("zh").model, str(documents / "zh"), "  "]) == 2
    assert "question is empty" in capsys.readouterr().err


def test_questions_from_a_file_into_a_file(models, documents, capsys):
    source = documents / "questions.csv"
    source.write_text("id,question\n1,刘洋出生在哪里？\n2,张伟是哪一年出生的？\n", "utf-8")
    target = documents / "answers.jsonl"
    words = [
        "ask",
        models("zh").model,
        str(documents / "zh"),
        "--file",
        str(source),
        "-o",
        str(target),
        "--quiet",
    ]
    assert main(words) == 0
    assert "of 2 questions answered" in capsys.readouterr().out
    rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["1", "2"] and {"answer", "confidence", "source", "line"} <= set(
        rows[0]
    )
    assert main([*words[:-3], "-o", str(documents / "answers.docx")]) == 2


def test_questions_one_after_another(models, documents, capsys, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("刘洋出生在哪里？\n\n张伟出生在哪里？\n"))
    assert main(["ask", models("zh").model, str(documents / "zh"), "-i", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert out.count("confidence") >= 2


def test_the_last_word_is_the_question_unless_it_names_something(tmp_path):
    os.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert documents_and_question(["a.txt", "谁写的？"]) == (["a.txt"], "谁写的？")
    assert documents_and_question(["谁写的？"]) == ([], "谁写的？")
    assert documents_and_question(["a.txt"]) == (["a.txt"], "")
    assert documents_and_question(["*.txt"]) == (["*.txt"], "")
    assert documents_and_question(["a.txt", "is it a question?"]) == (["a.txt"], "is it a question?")
    assert documents_and_question(["a.txt", "问" * 5000]) == (["a.txt"], "问" * 5000)
    assert documents_and_question(["a.txt", "b"], batch=True) == (["a.txt", "b"], "")
    with pytest.raises(OptionError, match="empty"):
        documents_and_question(["a.txt", " "])


FAQ = {
    "zh": "问题,答案\n多久能收到货？,三天\n怎么退货？,点退货\n可以开发票吗？,可以\n忘记密码怎么办？,点找回密码\n",
    "en": "question,answer\nHow long is shipping?,Three days\nHow do I return an item?,In your orders\n"
    "Do you send invoices?,Yes\nI forgot my password,Reset it\n",
}


@pytest.mark.parametrize(
    ("language", "asked", "answer"),
    [("zh", "密码忘记了", "点找回密码"), ("en", "forgot password", "Reset it")],
)
def test_pairs_alone_become_a_faq(tmp_path, language, asked, answer):
    (tmp_path / "faq.csv").write_text(FAQ[language], "utf-8")
    result = wenmo.train_task("question_answering", tmp_path / "faq.csv", tmp_path / "m", progress=False)
    assert result.metric == "accuracy" and "reworded" in result.verdict
    found = wenmo.load_task(tmp_path / "m").predict([asked])[0]
    best = (found.answers + found.considered)[0]
    assert best.text == answer and best.source.endswith("faq.csv") and best.line == 5


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pairs_with_documents_are_found_in_them(documents, language):
    rows = [{"question": q, "answer": a} for _, questions in passages(language) for q, a in questions]
    rows.append({"question": "what?", "answer": "nowhere to be found"})
    path = documents / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    result = wenmo.train_task(
        "question_answering",
        path,
        documents / "m",
        progress=False,
        **SETTINGS,
        documents=(str(documents / language),),
    )
    assert result.dropped["answer not found in the documents"] == 1
    assert result.examples["train"] + result.examples["valid"] + result.examples["test"] == 24
    assert result.scores["recall_5"] > 80


def test_raw_text_alone_is_practised_on(documents):
    paths = [str(path) for path in sorted((documents / "en").glob("*.txt"))]
    result = wenmo.train_task("question_answering", paths, documents / "m", progress=False, **SETTINGS)
    assert "made from the text itself" in result.verdict and result.examples["train"] == 0
    assert result.examples["made"] > 0


def test_retrieval_alone_shows_sentences(documents):
    path = documents / "q.json"
    path.write_text(json.dumps(squad("zh"), ensure_ascii=False), "utf-8")
    result = wenmo.train_task(
        "question_answering", path, documents / "m", progress=False, mode="retrieval", test_fraction=0.3
    )
    assert "whole sentences" in result.verdict and result.examples["made"] == 0
    found = wenmo.load_task(documents / "m").predict(["1953年谁出生在深圳？"], documents=[documents / "zh"])[
        0
    ]
    best = (found.answers + found.considered)[0]
    assert "深圳" in best.text and best.start_probability is None


def test_too_few_questions_are_refused(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"question": "Who?", "answer": "Ada", "context": "Ada was here."}), "utf-8")
    with pytest.raises(InputError, match="too few"):
        wenmo.train_task("question_answering", path, tmp_path / "m", progress=False, **SETTINGS)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_language_model_that_reads_too_long_is_left_out_and_said_so(language, tmp_path, monkeypatch):
    file = tmp_path / "q.json"
    file.write_text(json.dumps(squad(language), ensure_ascii=False), "utf-8")
    monkeypatch.setattr(LanguageVectors, "load", classmethod(lambda cls, folder: object()))
    monkeypatch.setattr("wenmo.answering.contextual.reading_seconds", lambda vectors, texts: 1e6)
    result = wenmo.train_task(
        "question_answering", file, tmp_path / "m", progress=False, budget="8s", hidden=16, made_questions=0,
        threads=1, from_model=tmp_path,
    )  # fmt: skip
    assert any("--from: the language model would read the texts for about" in note for note in result.notes)
    assert not (tmp_path / "m" / "language_model").exists()
