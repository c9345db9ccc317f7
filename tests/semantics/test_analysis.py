from subject_corpus import corpus

from wenmo.semantics.analysis import analyse, similar_documents
from wenmo.semantics.fitting import assemble, find_topics
from wenmo.semantics.tokens import content_words


def test_a_text_is_placed_in_the_corpus(language):
    texts, _ = corpus(language)
    topics, _, _ = find_topics([content_words(text) for text in texts], 3)
    model = assemble(texts, [f"line {i + 1}" for i in range(len(texts))], topics)
    known, unknown = analyse(model, [texts[4], "zzz"], top=3, near=2)
    assert known.topic == model.documents[4].topic + 1 and known.label == model.topics.labels[known.topic - 1]
    assert 1 <= len(known.keywords) <= 3 and known.similar == similar_documents(model, [texts[4]], 2)[0]
    assert known.similar[0].source == "line 5" and known.similar[0].similarity == 1.0
    assert (unknown.topic, unknown.label, unknown.share, unknown.similar) == (None, "", 0.0, [])
    assert analyse(model, [texts[4]], near=0)[0].similar == [] and analyse(model, []) == []
