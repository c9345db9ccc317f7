import pytest

from wenmo.semantics.choosing import Trial, choose_number, justification, numbers_to_try


def test_three_subjects_are_three_topics(words):
    steps = []
    topics, trials = choose_number(words, step=steps.append)
    assert topics.number == 3
    assert steps == [trial.number for trial in trials] == sorted(steps)
    assert max(trials, key=lambda trial: trial.score).number == 3


def test_the_search_can_be_ended(words):
    topics, trials = choose_number(words, stop=lambda: True)
    assert len(trials) == 1 and topics.number == trials[0].number


@pytest.mark.parametrize(("documents", "expected"), [(1, [1]), (2, [1]), (8, [2]), (11, [3])])
def test_few_documents_leave_no_choice(documents, expected):
    assert numbers_to_try(documents, 100) == expected
    topics, trials = choose_number([["甲", f"b{i % 3}"] for i in range(documents)])
    assert topics.number == len(trials) == 1 or topics.number == expected[0]


def test_numbers_are_spread_evenly():
    tried = numbers_to_try(1_000, 10_000)
    assert tried[0] == 2 and tried[-1] == 31 and len(tried) == 9
    assert numbers_to_try(10**6, 10**6)[-1] == 40 and numbers_to_try(10**6, 5)[-1] == 5


def test_the_reason_is_said():
    trials = [Trial(2, 0.1, 0.9, 0.5), Trial(3, 0.25, 0.8, 0.6)]
    said = justification(3, trials)
    assert "3 topics, of 2, 3 tried" in said and "0.25" in said and "80%" in said and "60%" in said
    assert "too few documents" in justification(1, trials[:1])
    assert Trial(2, -0.5, 1, 1).score == 0
