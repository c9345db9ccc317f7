import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from wenmo.answering.contextual import LanguageVectors, reading_seconds
from wenmo.answering.examples import Example
from wenmo.answering.network import ReaderConfig
from wenmo.answering.reader import STRETCH, Reader
from wenmo.answering.training import ReaderSettings, score_reader, train_reader
from wenmo.answering.units import cut_units
from wenmo.config import ModelSettings, TokenizerSettings
from wenmo.errors import ModelError, TrainingError
from wenmo.models.registry import build_config, build_model
from wenmo.tokenization.training import train_tokenizer

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from case_question_answering import passages

SETTINGS = ReaderSettings(steps=60, lr=1e-2, batch_units=600, evaluations=2)
CONFIG = ReaderConfig(
    vocab_size=0, unit_size=16, word_size=8, ending_size=4, hidden=16, max_span=8, dropout=0.0
)


def examples(language):
    found = []
    for text, questions in passages(language):
        for question, answer in questions:
            start = text.index(answer)
            found.append(Example(question, text, ((start, start + len(answer)),), text))
    return found


@pytest.fixture(scope="module", params=["zh", "en"])
def trained(request):
    data = examples(request.param)
    lines = []
    reader, run = train_reader(data[:18], data[18:], SETTINGS, config=CONFIG, say=lines.append)
    return request.param, data, reader, run, lines


def test_a_reader_learns_where_answers_stand(trained):
    _, data, reader, run, lines = trained
    assert score_reader(reader, data[18:]).f1 > 60  # people and places it has never seen
    assert run.curve[-1]["loss"] < run.curve[0]["loss"] and len(lines) == len(run.curve)
    assert {"minutes", "stage", "steps", "examples", "loss", "dev_f1", "dev_exact"} <= set(run.curve[0])


def test_answers_stand_where_they_say(trained):
    _, data, reader, _, _ = trained
    pairs = [(e.question, e.context) for e in data]
    for (_, passage), answer in zip(pairs, reader.read(pairs), strict=True):
        assert answer.spans and 0 <= answer.nothing <= 1
        for span in answer.spans:
            assert passage[span.start : span.end] == span.text
            assert span.probability <= min(span.start_probability, span.end_probability) + 1e-5


def test_long_passages_are_read_to_their_end(trained):
    language, data, reader, _, _ = trained
    example = data[0]
    filler = "天气很好。" if language == "zh" else "The weather was fine. "
    long = filler * (STRETCH // 2) + example.context
    answer = reader.read([(example.question, long)])[0]
    start = long.index(example.texts[0])
    assert any(span.start >= start - len(example.context) for span in answer.spans)
    assert len(cut_units(long)) > STRETCH


def test_nothing_to_read_gives_nothing(trained):
    reader = trained[2]
    for question, passage in (("", "text"), ("question", ""), ("  ", "  ")):
        answer = reader.read([(question, passage)])[0]
        assert answer.spans == () and answer.nothing == 1.0
    assert reader.read([]) == []


def test_coverage_counts_rare_units_more(trained):
    _, data, reader, _, _ = trained
    question, passage = data[0].question, data[0].context
    assert reader.coverage(question, question) == pytest.approx(1.0)
    assert reader.coverage(question, "，。") == 0.0 and reader.coverage("", passage) == 0.0
    assert reader.coverage(question, passage) > reader.coverage(question, data[4].context) > 0


def test_saved_and_loaded_it_answers_the_same(trained, tmp_path):
    _, data, reader, _, _ = trained
    reader.save(tmp_path)
    pairs = [(e.question, e.context) for e in data[:4]]
    assert Reader.load(tmp_path).read(pairs) == reader.read(pairs)
    weights = tmp_path / "reader.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="damaged"):
        Reader.load(tmp_path)
    (tmp_path / "reader.json").unlink()
    with pytest.raises(ModelError, match="cannot read"):
        Reader.load(tmp_path)


def test_training_repeats_bit_by_bit():
    data = examples("en")
    few = ReaderSettings(steps=3, batch_units=400)
    first, _ = train_reader(data, [], few, config=CONFIG, made=data[:4])
    second, _ = train_reader(data, [], few, config=CONFIG, made=data[:4])
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_answers_that_are_too_long_are_counted_and_nothing_is_refused():
    long = Example("Where?", "word " * 30, ((0, 100),), "g")
    _, run = train_reader(
        [*examples("en"), long], [], ReaderSettings(steps=20, batch_units=400), config=CONFIG
    )
    assert run.left_out == 1
    with pytest.raises(TrainingError, match="too long"):
        train_reader([long], [], ReaderSettings(steps=2), config=CONFIG)
    with pytest.raises(TrainingError, match="no question"):
        train_reader([], [], ReaderSettings(steps=2), config=CONFIG)


@pytest.mark.parametrize("architecture", ["gru", "transformer"])
def test_a_language_model_adds_vectors(architecture, tmp_path):
    texts = [text for language in ("zh", "en") for text, _ in passages(language)]
    tokenizer = train_tokenizer(
        texts, TokenizerSettings(kind="bpe", vocab_size=300), len("".join(texts).encode()), progress=False
    )
    torch.manual_seed(0)
    shape = ModelSettings(layers=1, width=16, heads=2, context=16)
    config = build_config(architecture, vocab_size=tokenizer.vocab_size, settings=shape)
    vectors = LanguageVectors(build_model(config), tokenizer)
    units = cut_units(texts[0])
    table = vectors.vectors(units)
    assert table.shape == (len(units), vectors.size) and np.isfinite(table).all()
    assert np.abs(np.square(table).mean(1) - 1).max() < 1e-2
    assert vectors.vectors(cut_units("")).shape == (0, vectors.size)
    few, many = (reading_seconds(vectors, [text * n for text in texts]) for n in (1, 20))
    assert 0 < few < many
    reader, _ = train_reader(
        examples("zh")[:6], [], ReaderSettings(steps=2, batch_units=400), config=CONFIG, outside=vectors
    )
    pairs = [(e.question, e.context) for e in examples("zh")[:2]]
    reader.save(tmp_path)
    vectors.save(tmp_path / "language_model")
    again = Reader.load(tmp_path, LanguageVectors.load(tmp_path / "language_model"))
    assert again.read(pairs) == reader.read(pairs)
    with pytest.raises(ModelError, match="language model"):
        Reader.load(tmp_path)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 40])
def test_the_timed_texts_are_of_all_lengths(count):
    class Timed:
        read: ClassVar[list[int]] = []

        def vectors(self, units):
            Timed.read.append(len(units.text))

    Timed.read.clear()
    reading_seconds(Timed(), ["字" * (5 * n + 1) for n in range(count)])
    assert Timed.read[0] == 1 and Timed.read[-1] == 5 * (count - 1) + 1
    assert len(Timed.read) == min(count, 7) and Timed.read == sorted(set(Timed.read))
