import sys
from pathlib import Path

import pytest

from wenmo.answering.examples import Example
from wenmo.answering.experiment import score_all
from wenmo.answering.network import ReaderConfig
from wenmo.answering.searching import Answerer, Combination, fit_combination
from wenmo.answering.system import QuestionAnswering
from wenmo.answering.training import ReaderSettings, train_reader
from wenmo.retrieval.building import index_texts

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from case_question_answering import passages

CONFIG = ReaderConfig(
    vocab_size=0, unit_size=16, word_size=8, ending_size=4, hidden=16, max_span=8, dropout=0.0
)


@pytest.fixture(scope="module", params=["zh", "en"])
def made(request):
    data = []
    for text, questions in passages(request.param):
        for question, answer in questions:
            start = text.index(answer)
            data.append(Example(question, text, ((start, start + len(answer)),), text))
    reader, _ = train_reader(data, [], ReaderSettings(steps=80, lr=1e-2, batch_units=600), config=CONFIG)
    index = index_texts(list(dict.fromkeys(example.context for example in data)))
    return reader, index, data, fit_combination(reader, index, data)


def test_the_threshold_is_fitted_on_questions_with_and_without_an_answer(made):
    _, _, data, combination = made
    fitted = combination.confidence
    assert fitted is not None and fitted.count == 2 * len(data)
    assert fitted.answerable_f1 > 60 and 0 <= fitted.refused <= 100
    again = Combination.model_validate_json(combination.model_dump_json())
    assert again == combination


def test_confidence_falls_with_the_rank_and_stays_a_probability(made):
    reader, index, data, combination = made
    answerer = Answerer(reader, combination)
    for example in data[:6]:
        answers = answerer.answer(example.question, index, 3)
        sure = [answer.confidence for answer in answers]
        assert sure == sorted(sure, reverse=True) and all(0 <= value <= 1 for value in sure)
        assert len({answer.text for answer in answers}) == len(answers)
        given = answerer.given(answers)
        assert given == answers[: len(given)]


def test_a_given_passage_is_judged_as_one_that_was_found(made):
    reader, index, data, combination = made
    system = QuestionAnswering(
        reader, Combination(**{**combination.model_dump(), "passages": 1, "weight": 0.0})
    )
    for example in data[:4]:
        found = index.search(example.question, 1)[0]
        from_index = system.ask(example.question, index)
        alone = system.ask_of(example.question, found.text)
        assert alone.answer == from_index.answer and alone.confidence == pytest.approx(
            from_index.confidence, abs=1e-4
        )


def test_scores_have_their_bounds_and_baselines(made):
    reader, index, data, combination = made
    scored = score_all(reader, combination, index, data)
    assert scored.questions == scored.searched == len(data)
    assert all(0 <= value <= 100 for value in {**scored.scores, **scored.sentence}.values())
    assert scored.scores["end_to_end_f1"] <= scored.scores["always_answered_f1"] + 1e-9
    assert scored.scores["f1"] > scored.sentence["f1"]
    one = score_all(reader, combination, index, data, seconds=0.0)
    assert one.searched < len(data) and one.questions == len(data)


def test_without_a_reader_sentences_are_given(made):
    _, index, data, _ = made
    combination = fit_combination(None, index, data)
    assert combination.confidence is not None and combination.weight == 0.0
    answer = Answerer(None, combination).answer(data[0].question, index, 1)[0]
    assert answer.text in answer.passage.text and answer.span is None
