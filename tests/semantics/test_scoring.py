from subject_corpus import corpus

from wenmo.semantics.fitting import assemble, find_topics
from wenmo.semantics.keywords import Keyword
from wenmo.semantics.listing import (
    assigned_lines,
    assigned_rows,
    keyword_lines,
    keyword_rows,
    topic_lines,
    topic_rows,
)
from wenmo.semantics.scoring import score, score_chance, score_other_method, verdict
from wenmo.semantics.tokens import content_words


def test_topics_are_better_than_chance(words):
    topics, _, _ = find_topics(words[:50], 3)
    scores, chance = score(topics, words, words[50:]), score_chance(topics, words, 0)
    assert scores["coherence"] > chance["coherence"] + 0.2 and scores["assigned"] == 1
    name, other = score_other_method(topics, words[:50], words, words[50:], 0)
    assert name == "lda" and set(other) == set(scores)
    said = verdict(topics, scores, chance, 50)
    assert "3 topics" in said and "100% of the documents" in said and "50 documents" in said
    assert "hardly" in verdict(topics, scores, scores, 500) and "hardly" not in verdict(
        topics, scores, chance, 500
    )


def test_one_topic_tells_nothing_apart(words):
    topics, _, _ = find_topics(words[:2], None)
    assert "nothing is told apart" in verdict(topics, {}, {}, 2)


def test_topics_as_rows(language):
    texts, _ = corpus(language)
    topics, _, _ = find_topics([content_words(text) for text in texts], 3)
    model = assemble(texts, ["x"] * len(texts), topics)
    rows = topic_rows(model)
    assert [row["number"] for row in rows] == [1, 2, 3] and sum(row["documents"] for row in rows) == 60
    assert "none of these" in topic_lines(rows)[-1]
    given = [texts[0], "zzz"]
    assigned = assigned_rows(model, given, model.assign(given))
    assert assigned[0]["label"] == rows[assigned[0]["topic"] - 1]["label"]
    assert assigned[1]["topic"] is None and "none of these" in assigned_lines(assigned)[1]


def test_keywords_as_rows():
    results = [("a.txt", [Keyword(text="图像", score=0.5, count=2)]), ("", [])]
    assert keyword_rows(results) == [
        {"source": "a.txt", "rank": 1, "text": "图像", "score": 0.5, "count": 2, "documents": 1}
    ]
    assert keyword_lines(results) == ["a.txt", "  0.500  图像", "", "text", "         no key phrase"]
    assert keyword_lines(results[:1]) == ["  0.500  图像"]
