from wenmo.comparison.results import FamilyResult, Interval, PairResult, Point
from wenmo.comparison.words import joined, plan_sentence, recommend, shown_p


def family(name: str, score: float, *, chance: float | None = None, written: float = 100.0) -> FamilyResult:
    interval = Interval(bits_per_byte=score, low=score - 0.02, high=score + 0.02)
    return FamilyResult(
        name=name,
        score=interval,
        seeds=[score - 0.001, score + 0.001],
        with_ngram=score - 0.1,
        predicted=None
        if chance is None
        else Interval(bits_per_byte=score - 0.3, low=score - 0.4, high=score - 0.2),
        best_probability=chance,
        points=[Point(seconds=10, bits_per_byte=score)],
        parameters=300_000,
        memory=1e8,
        epochs=0.5,
        trained_per_second=5000.0,
        scored_per_second=9000.0,
        written_per_second=written,
    )


def pair(better: FamilyResult, worse: FamilyResult, p: float) -> PairResult:
    difference = worse.score.bits_per_byte - better.score.bits_per_byte
    return PairResult(
        better=better.name,
        worse=worse.name,
        difference=Interval(bits_per_byte=difference, low=difference - 0.01, high=difference + 0.01),
        p=p,
        p_holm=p,
        distinguishable=p < 0.05,
    )


def test_one_is_best() -> None:
    one, two = family("lstm", 2.0), family("transformer", 2.1)
    found = recommend([one, two], [pair(one, two, 0.0001)], "30 s", "")
    assert (found.family, found.decided) == ("lstm", True)
    assert found.sentence == (
        "lstm is best: 2.000 bits per byte after 30 s, 4.8% below transformer, corrected p < 0.001."
    )


def test_not_distinguishable() -> None:
    one, two, three = family("lstm", 2.0, written=300), family("gru", 2.01), family("rnn", 2.5)
    pairs = [pair(one, two, 0.4), pair(one, three, 0.001), pair(two, three, 0.001)]
    found = recommend([one, two, three], pairs, "30 s", "")
    assert (found.family, found.decided) == ("lstm", False)
    assert found.sentence.startswith("Not distinguishable at this budget: lstm and gru.")
    assert "p = 0.40" in found.sentence and "rnn" not in found.sentence
    assert "lstm writes 3.0 times as fast as gru" in found.sentence


def test_the_extrapolation_confirms_leaves_open_or_overrules() -> None:
    def said(own: float, other: float, p: float = 0.001):
        one, two = family("lstm", 2.0, chance=own), family("transformer", 2.1, chance=other)
        return recommend([one, two], [pair(one, two, p)], "30 s", "1h")

    confirmed = said(0.8, 0.2)
    assert (
        confirmed.decided and "After 1h it is likely still ahead (80%): predicted 1.700" in confirmed.sentence
    )
    undecided = said(0.3, 0.7)
    assert (undecided.family, undecided.decided) == ("lstm", False)
    assert "Which is best after 1h is open" in undecided.sentence and "transformer 70%" in undecided.sentence
    overruled = said(0.02, 0.98)
    assert (overruled.family, overruled.decided) == ("transformer", True)
    assert overruled.sentence.startswith("transformer will be best after 1h, with a probability of 98%")
    tied_but_sure = said(0.97, 0.03, p=0.5)
    assert (tied_but_sure.family, tied_but_sure.decided) == ("lstm", True)


def test_the_ngram_model_is_spoken_of_where_it_is_ahead() -> None:
    one, two = family("lstm", 2.0), family("gru", 2.1)
    pairs = [pair(one, two, 0.001)]
    assert "n-gram" not in recommend([one, two], pairs, "30 s", "", 2.2).sentence
    assert (
        "n-gram model alone is ahead of all, with 1.900"
        in recommend([one, two], pairs, "30 s", "", 1.9).sentence
    )


def test_a_prediction_far_ahead_is_called_a_guess() -> None:
    one, two = family("lstm", 2.0, chance=0.9), family("gru", 2.1, chance=0.1)
    near, far = (
        recommend([one, two], [pair(one, two, 0.001)], "8.4 s", "20m", reach=reach).sentence
        for reach in (30.0, 139.5)
    )
    assert "guess" not in near and far.startswith(near)
    assert "140 times as far as they were measured: what they say of 20m is a guess" in far


def test_nothing_is_decided_too_early() -> None:
    one, two = family("lstm", 2.0), family("gru", 2.1)
    found = recommend([one, two], [pair(one, two, 0.001)], "3.0 s", "", early=["gru"])
    assert not found.decided and found.family == "lstm"
    assert found.sentence.startswith(
        "Too early to tell: after 3.0 s gru has hardly learned more than how frequent"
    )


def test_small_words() -> None:
    assert (shown_p(0.0001), shown_p(0.0123), shown_p(0.5)) == ("p < 0.001", "p = 0.012", "p = 0.50")
    assert joined(["a"]) == "a" and joined(["a", "b", "c"]) == "a, b and c"
    sentence = plan_sentence(["gru", "lstm"], "30 s", [0.25, 0.5, 1.0, 1.0])
    assert (
        sentence
        == "8 trainings: each of gru and lstm 2 times for 30 s and once for 25% of that and once for 50% of that"
    )
