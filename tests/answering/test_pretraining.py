import pytest

from wenmo.answering.pretraining import made_questions

TEXTS = {
    "zh": [
        "长江全长6300千米，发源于青藏高原，流经十一个省。长江是亚洲第一长河，也是世界第三长河。"
        "三峡大坝建在长江上，1994年开工。"
        "三峡大坝的发电量居世界第一，每年为华东地区供电。",
        "李白是唐代著名诗人，字太白。李白一生写下约一千首诗，《静夜思》广为流传。后人称李白为诗仙，他在762年去世。",
    ],
    "en": [
        "The Nile is about 6650 kilometres long and flows through eleven countries. Egypt depends on "
        "the Nile for water. "
        "The Aswan Dam was built across the Nile between 1960 and 1970. The Aswan Dam produces electricity for Egypt.",
        "Marie Curie was born in Warsaw in 1867 and moved to Paris. Marie Curie won two Nobel Prizes. The second Nobel "
        "Prize was in chemistry, and Paris named a street after her.",
    ],
}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_answers_stand_in_their_passages(language):
    made = made_questions(TEXTS[language], 60, seed=0)
    assert len(made) >= 40
    kinds = {example.source for example in made}
    assert kinds == {"made from recurring spans", "made from a gap"}
    for example in made:
        assert example.answers and example.question.endswith(("？", "?"))
        for start, end in example.answers:
            assert 0 <= start < end <= len(example.context)
            assert example.context[start:end].strip() == example.context[start:end]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_recurring_span_is_read_without_the_sentence_of_the_question(language):
    recurring = [e for e in made_questions(TEXTS[language], 60, seed=1) if "recurring" in e.source]
    assert recurring
    for example in recurring:
        whole = next(
            text
            for text in TEXTS[language]
            if text.startswith(example.context[:5]) or text.endswith(example.context[-5:])
        )
        assert len(example.context) < len(whole)
        assert all(text in whole for text in example.texts)


def test_seeds_repeat_and_differ():
    first, again, other = (made_questions(TEXTS["zh"], 30, seed) for seed in (0, 0, 1))
    assert first == again and first != other


def test_short_text_gives_no_question():
    assert made_questions(["", "短。", "Hi."], 10, 0) == []
    assert made_questions([], 10, 0) == []
