import re

import numpy as np
import pytest

from reviews import reviews
from wenmo.classification import scoring
from wenmo.classification.attribution import against, explain, telling_words
from wenmo.classification.building import Plan, build
from wenmo.classification.classifier import Classifier, blend
from wenmo.classification.metrics import log_loss, log_softmax
from wenmo.classification.page import article, marked, page
from wenmo.classification.preparing import Side, Sides
from wenmo.errors import ModelError

NAMES = {2: ["neg", "pos"], 3: ["neg", "neutral", "pos"]}


def data(language, count=60, classes=2, seed=0):
    pairs = reviews(language, count, seed, labels=("neg", "pos") if classes == 2 else ("neg", "any", "pos"))
    number = {"neg": 0, "any": 1, "pos": classes - 1}
    return [text for text, _ in pairs], np.array([number[label] for _, label in pairs])


def built(language, classes=2, **plan):
    texts, labels = data(language, 60, classes)
    return build(texts, labels, NAMES[classes], Plan(kind="linear", **plan), seconds=5)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("classes", [2, 3])
def test_contributions_of_words_add_up_to_the_log_odds(language, classes):
    classifier, _ = built(language, classes)
    empty = classifier.log_probs([""])[0]
    for text in [
        *data(language, 6, classes, seed=9)[0],
        "好好好好 ok ok!!!!!!\n\n好",
        "？",
        "never seen 从没见过",
    ]:
        for label in classifier.names:
            found = explain(classifier, text, label)
            lead = against(classifier.names.index(label), classes)
            assert found.exact and [text[a:b] for _, a, b, _ in found.words] == [w for w, *_ in found.words]
            # What is left is bias and calibration: what a text without words has.
            assert found.rest == pytest.approx(float(empty @ lead), abs=1e-5)  # scores are float32


@pytest.mark.parametrize(("language", "word"), [("zh", "失望"), ("en", "hated")])
def test_the_words_that_decide_are_those_that_differ(language, word):
    classifier, _ = built(language)
    text = {"zh": "在车站旁边，非常失望。", "en": "near the station, I hated it."}[language]
    found = explain(classifier, text)
    assert found.label == "neg" and dict(found.strongest())[word] > 0
    assert dict(found.strongest(20))[word] == max(value for _, value in found.strongest(20))


def test_a_page_escapes_the_text_and_refers_to_nothing():
    classifier, _ = built("en")
    text = "<script>alert(1)</script> I loved it & you"
    verdict, found = classifier.verdicts([text])[0], explain(classifier, text)
    html = page([article(text, verdict, found, "neg")], "<Title>", "en")
    assert "<script>" not in html and "&lt;Title&gt;" in html and not re.search(r"(src|href)=", html)
    assert (
        re.sub("<[^>]*>", "", marked(found, text))
        == "&lt;script&gt;alert(1)&lt;/script&gt; I loved it &amp; you"
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_saved_and_loaded_it_says_the_same(language, tmp_path):
    classifier, _ = built(language, 3)
    texts = ["", *data(language, 10, 3, seed=5)[0]]
    classifier.save(tmp_path)
    loaded = Classifier.load(tmp_path)
    assert loaded.verdicts(texts) == classifier.verdicts(texts)
    assert loaded.verdicts([]) == []
    assert [v.empty for v in loaded.verdicts(texts)] == [True] + [False] * 10
    assert sum(loaded.verdicts(texts)[3].probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"names": ["a"], "weights": {"linear": 1}, "temperature": 1, "offsets": [0, 0], "favour": [0]}',
    ],
)
def test_damaged_records_are_refused(content, tmp_path):
    classifier, _ = built("en")
    classifier.save(tmp_path)
    (tmp_path / "classifier.json").write_text(content)
    with pytest.raises(ModelError, match="damaged"):
        Classifier.load(tmp_path)


def test_files_of_two_models_do_not_go_together(tmp_path):
    built("en")[0].save(tmp_path)
    three = built("en", 3)[0]
    three.linear.save(tmp_path / "linear.safetensors")
    with pytest.raises(ModelError, match="do not belong together"):
        Classifier.load(tmp_path)


def noisy(labels, noise, seed):
    scores = np.random.default_rng(seed).normal(size=(len(labels), 2)) * noise
    scores[np.arange(len(labels)), labels] += 1
    return scores


def test_two_independent_members_are_averaged_and_a_useless_one_is_not():
    labels = np.arange(1_000) % 2
    good, other, useless = noisy(labels, 1, 1), noisy(labels, 1, 2), noisy(labels * 0, 1, 3)
    both = blend({"linear": good, "network": other * 5}, labels)
    assert set(both.weights) == {"linear", "network"}
    total = sum(w * log_softmax(s) for w, s in zip(both.weights.values(), (good, other * 5), strict=True))
    found = log_loss(both.calibration.log_probs(total), labels)
    assert found == pytest.approx(both.losses["both"]) and found < min(
        both.losses["linear"], both.losses["network"]
    )
    assert set(blend({"linear": good, "network": useless}, labels).weights) == {"linear"}


def test_more_scores_than_intervals_say():
    labels = np.arange(200) % 2
    log_probs = log_softmax(noisy(labels, 0.8, 4))
    seen = np.arange(200) < 50
    found = scoring.score(log_probs, labels, np.zeros(2), seen)
    scores = found.scores()
    assert found.interval()[0] < scores["accuracy"] < found.interval()[1]
    assert scores["accuracy_unseen"] == pytest.approx((log_probs.argmax(axis=1) == labels)[50:].mean())
    nothing = scoring.score(log_probs, labels, np.zeros(2), np.zeros(0, bool))
    assert "accuracy_unseen" not in nothing.scores()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_baseline_learns_too(language):
    texts, labels = data(language, 60)
    others, truth = data(language, 40, seed=3)
    found = scoring.tfidf_baseline(texts, labels, others, 2)
    assert (found.argmax(axis=1) == truth).mean() > 0.8
    folds = np.arange(60) // 2 % 3
    assert (scoring.tfidf_baseline(texts, labels, (), 2, folds).argmax(axis=1) == labels).mean() > 0.8


def test_the_verdict_says_how_sure_it_is():
    texts, labels = data("en", 40)
    classifier, evidence = build(texts, labels, NAMES[2], Plan(kind="linear"))
    none = Side([], np.zeros(0, int))
    sides = Sides(NAMES[2], Side(texts, labels), none, none, np.zeros(0, bool), {})
    truth, log_probs, plain, folds = scoring.answers(classifier, evidence, sides, 0)
    found = scoring.score(log_probs, truth, classifier.favour, sides.seen)
    words = scoring.verdict_sentence(found, NAMES[2], scoring.baseline_scores(plain, sides, truth), folds, 40)
    assert "cross-validated over 10 folds" in words and "95 % sure" in words and words.endswith(".")


@pytest.mark.parametrize(("language", "words"), [("zh", ("满意", "失望")), ("en", ("loved", "hated"))])
def test_the_words_that_tell_labels_apart(language, words):
    classifier, _ = built(language)
    found = telling_words(classifier, data(language, 40)[0], 30)
    pos, neg = ({word for word, _ in found[label]} for label in ("pos", "neg"))
    assert words[0] in pos - neg and words[1] in neg - pos
    assert all(value > 0 for _, value in found["pos"])


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_cross_validated_score_is_that_of_new_texts(language):
    """Honest within what 60 texts can say: neither much better nor much worse than on texts drawn afresh."""
    random = np.random.default_rng(0)
    texts, labels = data(language, 60)
    labels = np.where(random.random(60) < 0.2, 1 - labels, labels)  # a fifth of the labels is wrong
    classifier, evidence = build(texts, labels, NAMES[2], Plan(kind="linear"))
    others, truth = data(language, 400, seed=3)
    truth = np.where(random.random(400) < 0.2, 1 - truth, truth)
    fresh = classifier.log_probs(others)
    assert abs(log_loss(fresh, truth) - log_loss(evidence.log_probs, evidence.labels)) < 0.12
    assert (
        abs((fresh.argmax(1) == truth).mean() - (evidence.log_probs.argmax(1) == evidence.labels).mean())
        < 0.12
    )
