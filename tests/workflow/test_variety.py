"""Every report says how varied the model writes and what it copies, beside people."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from wenmo.config import CorpusSettings, GenerationSettings, Recipe, TokenizerSettings
from wenmo.workflow import train, variety
from wenmo.workflow.clock import Clock
from wenmo.workflow.variety import FEWEST_TEXTS


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_an_ngram_model_writes_is_scored_beside_people(
    language: str, chinese_documents: list[str], english_documents: list[str], tmp_path: Path
) -> None:
    documents = chinese_documents if language == "zh" else english_documents
    (tmp_path / "t.txt").write_text("\n\n".join(documents), encoding="utf-8")
    recipe = Recipe(
        architecture="ngram",
        budget="20s",
        corpus=CorpusSettings(test_fraction=0.3),
        tokenizer=TokenizerSettings(vocab_size=400),
    )
    result = train(tmp_path / "t.txt", tmp_path / "m", recipe, progress=False)
    assert result.diversity is not None and result.human_diversity is not None
    for scores in (result.diversity, result.human_diversity):
        assert 2 <= scores.texts <= 32 and scores.words > 50
        assert 0 < scores.distinct_1 <= scores.distinct_2 <= scores.distinct_3 <= 1
        assert scores.copied is not None and 0 <= scores.copied <= 1 and scores.longest_copy
    page = Path(result.report).read_text("utf-8")
    assert "Is it varied, is it copied?" in page and "all of the training text" in page
    assert '<tr><th scope="row">documents</th><td>1</td></tr>' in page  # though it is cut between the splits


def test_a_test_text_that_is_too_short_has_no_scores(english_documents: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n\n".join(english_documents)[:4000], encoding="utf-8")
    recipe = Recipe(architecture="ngram", tokenizer=TokenizerSettings(vocab_size=300))
    result = train(tmp_path / "t.txt", tmp_path / "m", recipe, progress=False)
    assert result.diversity is None and result.human_diversity is None
    assert "Is it varied" not in Path(result.report).read_text("utf-8")


def test_a_late_run_writes_a_few_texts_and_no_more(
    chinese_documents: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.txt").write_text("\n\n".join(chinese_documents), encoding="utf-8")
    usual = Clock.allowance
    monkeypatch.setattr(
        Clock, "allowance", lambda clock, name: 0.0 if name == "variety" else usual(clock, name)
    )
    recipe = Recipe(
        architecture="ngram",
        budget="20s",
        corpus=CorpusSettings(test_fraction=0.3),
        tokenizer=TokenizerSettings(vocab_size=400),
    )
    result = train(tmp_path / "t.txt", tmp_path / "m", recipe, progress=False)
    assert result.diversity is not None and 2 <= result.diversity.texts <= FEWEST_TEXTS


@pytest.mark.parametrize(("length", "places"), [(1_000, 5), (10, 20)])
def test_there_are_more_texts_where_documents_are_short(
    monkeypatch: pytest.MonkeyPatch, length: int, places: int
) -> None:
    """Seconds for 600 tokens: five texts of 120, or twenty of the fewest that are written where time is short."""
    asked: list[int] = []
    ids = np.tile(np.append(np.arange(1, length), 0), 20_000 // length)
    texts = SimpleNamespace(
        test=SimpleNamespace(ids=ids), tokenizer=SimpleNamespace(eos_id=0, decode=lambda ids: "x" * len(ids))
    )

    def written(model: object, texts: object, prompts: np.ndarray, *rest: object) -> list[str]:
        asked.append(len(prompts))
        raise InterruptedError

    monkeypatch.setattr(variety, "writing_cost", lambda *arguments: 1.0 / 600)
    monkeypatch.setattr(variety, "_written", written)
    with pytest.raises(InterruptedError):
        variety.measure_variety(cast(Any, None), cast(Any, texts), GenerationSettings(), 2.0)
    assert abs(asked[0] - places) <= 1


def test_copies_are_looked_for_all_over_a_text_of_two_languages() -> None:
    """Half of it is Chinese and half English: of any part both are searched."""
    pieces = [b"\0", "猫坐在垫子上，".encode(), b"the cat sat "]
    ids = np.repeat(np.array([1, 2]), 5_000)
    ids[99::100] = 0
    sizes = np.array([len(piece) for piece in pieces])
    texts: Any = SimpleNamespace(
        train=SimpleNamespace(ids=ids, num_bytes=int(sizes[ids].sum())),
        bytes_per_token=sizes[ids].mean(),
        bytes_of=lambda ids: b"".join([pieces[token] for token in ids]),
    )
    for part in (0.1, 0.5):
        found, share = variety.searched_texts(texts, int(part * texts.train.num_bytes))
        assert share == pytest.approx(part, rel=0.02)
        assert sum("猫" in each for each in found) == sum("cat" in each for each in found) == 8
        assert sum(len(each.encode()) for each in found) == pytest.approx(part * sizes[ids].sum(), rel=0.05)
    for plenty in (int(texts.train.num_bytes), 10**9):
        assert variety.searched_texts(texts, plenty) == ([texts.bytes_of(ids).decode()], 1.0)


def test_a_stretch_that_begins_within_a_character_is_searched() -> None:
    pieces = [b"\0", *(bytes([byte]) for byte in "猫坐在".encode())]
    ids = np.tile(np.arange(1, 10), 1_000)
    texts: Any = SimpleNamespace(
        train=SimpleNamespace(ids=ids, num_bytes=len(ids)),
        bytes_per_token=1.0,
        bytes_of=lambda ids: b"".join([pieces[token] for token in ids]),
    )
    found, _ = variety.searched_texts(texts, 1_600)
    assert len(found) == 16 and all("猫坐在" in each and "\ufffd" not in each for each in found)
