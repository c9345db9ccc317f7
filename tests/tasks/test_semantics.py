"""The verbs of semantic analysis, as a user types them."""

import csv
import json

import case_semantics
import pytest

import wenmo
from wenmo.cli import main
from wenmo.errors import ModelError, OptionError


@pytest.fixture(params=["zh", "en"])
def language(request):
    return request.param


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}
    for language in ("zh", "en"):
        folder = tmp_path_factory.mktemp(language)
        paths = case_semantics.write(folder, language)
        result = wenmo.train_task(
            "semantics", paths, folder / "m", progress=False, **{**case_semantics.SETTINGS, "topics": None}
        )
        made[language] = (folder / "m", paths[0], result)
    return made


def run(capsys, *words):
    capsys.readouterr()
    status = main([str(word) for word in words])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_the_number_is_chosen_and_justified(models, language):
    folder, _, result = models[language]
    assert any("3 topics, of 2, 3" in note for note in result.notes)
    assert result.scores["coherence"] > result.baselines["the same words at random"]["coherence"]
    assert "lda" in result.baselines and result.examples == {"train": 45, "test": 0}
    page = (folder / "map.html").read_text("utf-8")
    assert page.count("<circle") == 45 and "Why this number" in page
    assert "<svg" in (folder / "report.html").read_text("utf-8")


def test_topics_are_shown_and_texts_assigned(models, language, tmp_path, capsys):
    folder, data, _ = models[language]
    status, out, err = run(capsys, "topics", folder, "--json", "--quiet")
    assert status == 0, err
    shown = json.loads(out)
    assert len(shown["topics"]) == 3 and sum(t["documents"] for t in shown["topics"]) == 45
    assert "map.html" in run(capsys, "topics", folder)[1]
    output = tmp_path / "out.csv"
    status, out, err = run(capsys, "topics", folder, "--file", data, "-o", output)
    assert status == 0, err
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 45 and len({row["topic"] for row in rows[::3]}) == 1
    status, out, _ = run(capsys, "topics", folder, "zzz", "--json")
    assert json.loads(out)["documents"][0]["topic"] is None


def test_keywords_need_no_model(language, tmp_path, capsys):
    text = {"zh": "酒店的早餐很好，酒店的前台也好。", "en": "The hotel breakfast; the hotel lobby is fine."}[
        language
    ]
    word = {"zh": "酒店", "en": "hotel"}[language]
    status, out, err = run(capsys, "keywords", text, "--top", "3", "--json")
    assert status == 0, err
    (document,) = json.loads(out)["documents"]
    assert 1 <= len(document["keywords"]) <= 3 and any(
        word in k["text"].lower() for k in document["keywords"]
    )
    (tmp_path / "a.txt").write_text(f"{text}\n{text}", encoding="utf-8")
    (tmp_path / "b.txt").write_text("独角兽 unicorns", encoding="utf-8")
    status, out, err = run(capsys, "keywords", tmp_path / "a.txt", tmp_path / "b.txt")
    assert status == 0 and "a.txt" in out and "独角兽" in out and word in out.lower(), err
    status, out, _ = run(capsys, "keywords", tmp_path, "--overall", "--json")
    assert json.loads(out)["count"] == 2 and json.loads(out)["overall"]


def test_keywords_of_many_documents_go_into_a_file(models, language, tmp_path, capsys):
    folder, data, _ = models[language]
    for name in ("k.csv", "k.jsonl"):
        status, _, err = run(capsys, "keywords", data, "--model", folder, "--top", "2", "-o", tmp_path / name)
        assert status == 0, err
    with (tmp_path / "k.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["source"] for row in rows}) == 45 and {row["rank"] for row in rows} == {"1", "2"}
    lines = [json.loads(line) for line in (tmp_path / "k.jsonl").read_text("utf-8").splitlines()]
    assert [len(line["keywords"]) for line in lines] == [2] * 45


def test_similar_documents(models, language, capsys):
    folder, data, _ = models[language]
    text = json.loads(data.read_text("utf-8").splitlines()[7])["text"]
    status, out, err = run(capsys, "similar", folder, text, "zzz", "--top", "2", "--json")
    assert status == 0, err
    first, second = json.loads(out)["texts"]
    assert first["similar"][0]["source"].endswith("line 8") and first["similar"][0]["similarity"] == 1.0
    assert len(first["similar"]) == 2 and second["similar"] == []
    assert "no word of it" in run(capsys, "similar", folder, "zzz")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["keywords"], "no text"),
        (["keywords", "gone.txt"], "no file gone.txt"),
        (["keywords", "酒店", "-o", "x.xls"], "--output"),
        (["topics", "nowhere"], "no model directory"),
        (["similar", "nowhere", "x"], "no model directory"),
        (["keywords", "酒店", "--top", "0"], "top"),
        (["train", "--task", "semantics", "gone.txt"], "gone.txt"),
    ],
)
def test_mistakes_are_told_in_a_sentence(words, said, capsys):
    status, _, err = run(capsys, *words)
    assert status == 2 and said in err and "Traceback" not in err


def test_a_model_is_not_taken_for_documents(models, capsys):
    status, _, err = run(capsys, "keywords", models["zh"][0])
    assert status == 2 and "--model" in err


def test_mixed_languages_in_one_corpus(models, tmp_path):
    lines = [path.read_text("utf-8") for _, path, _ in models.values()]
    (tmp_path / "both.jsonl").write_text("".join(lines), encoding="utf-8")
    result = wenmo.train_task("semantics", tmp_path / "both.jsonl", tmp_path / "m", progress=False, topics=6)
    (hotel, laptop) = wenmo.load_task(result.model).predict(["酒店的早餐", "the laptop screen"])
    assert hotel.topic is not None and laptop.topic is not None and hotel.topic != laptop.topic
    assert result.examples["train"] + result.examples["test"] == 90


def test_the_split_is_held_out(models, tmp_path):
    _, path, _ = models["en"]
    other = case_semantics.corpus("en", 30, seed=5)[0]
    (tmp_path / "test.txt").write_text("\n".join(other), encoding="utf-8")
    result = wenmo.train_task(
        "semantics",
        path,
        tmp_path / "m",
        progress=False,
        topics=3,
        test=(str(tmp_path / "test.txt"),),
        budget="60s",
    )
    assert result.examples == {"train": 45, "test": 30} and result.scores["assigned"] == 1.0


def test_predict_takes_no_other_option(models):
    model = wenmo.load_task(models["zh"][0])
    with pytest.raises(OptionError, match="top and near"):
        model.predict(["x"], wrong=1)
    assert len(model.predict(["酒店的早餐和前台"], top=1, near=0)[0].keywords) == 1


@pytest.fixture(scope="module")
def language_models(tmp_path_factory):
    """A small neural language model and an n-gram model, which has no embeddings."""
    import numpy as np
    import torch

    from wenmo.config import ModelSettings, TokenizerSettings
    from wenmo.models.ngram import NgramConfig, NgramModel
    from wenmo.models.registry import build_config, build_model
    from wenmo.models.storage import save_model
    from wenmo.tokenization.training import train_tokenizer

    base = tmp_path_factory.mktemp("language_models")
    texts = case_semantics.corpus("zh", 9)[0]
    total = sum(len(text.encode()) for text in texts)
    tokenizer = train_tokenizer(texts, TokenizerSettings(kind="bpe", vocab_size=300), total, progress=False)
    torch.manual_seed(0)
    shape = ModelSettings(layers=1, width=16, context=24)
    model = build_model(build_config("lstm", vocab_size=tokenizer.vocab_size, settings=shape))
    save_model(model, base / "lstm", tokenizer=tokenizer)
    ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size, context_length=24))
    ngram.fit(np.array(tokenizer.encode(texts[0])), tokenizer.token_bytes)
    save_model(ngram, base / "ngram", tokenizer=tokenizer)
    return base


def test_embeddings_of_a_language_model(models, language_models, tmp_path):
    import shutil

    _, path, _ = models["zh"]
    copied = shutil.copytree(language_models / "lstm", tmp_path / "lstm")
    result = wenmo.train_task("semantics", path, tmp_path / "m", progress=False, topics=3, from_model=copied)
    shutil.rmtree(copied)  # the folder is whole without it
    plain, with_vectors = (
        wenmo.load_task(folder).predict(["酒店的早餐"])[0] for folder in (models["zh"][0], result.model)
    )
    assert with_vectors.topic is not None and with_vectors.similar
    assert [s.similarity for s in plain.similar] != [s.similarity for s in with_vectors.similar]
    shutil.rmtree(tmp_path / "m" / "language_model")
    with pytest.raises(ModelError, match="language model"):
        wenmo.load_task(result.model)


def test_a_model_without_embeddings_is_refused(models, language_models, tmp_path):
    with pytest.raises(ModelError, match="no hidden states"):
        wenmo.train_task(
            "semantics", models["zh"][1], tmp_path / "m", progress=False, from_model=language_models / "ngram"
        )
    assert not list(tmp_path.iterdir())
