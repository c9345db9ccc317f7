import math

import pytest

from wenmo.evaluation.verdict import further_text, overfitting_verdict


def curve(train: list[float], valid: list[float]) -> list[dict[str, float]]:
    return [
        {"seconds": 60.0 * (i + 1), "train_bpb": t, "valid_bpb": v}
        for i, (t, v) in enumerate(zip(train, valid, strict=True))
    ]


FALLING = [3.0, 2.6, 2.4, 2.3, 2.2, 2.1, 2.0, 1.9]
SETTLING = [3.080, 2.311, 2.002, 1.859, 1.779, 1.712, 1.623, 1.546, 1.471, 1.379, 1.279, 1.193]
SETTLED = [2.6616, 2.2102, 2.0321, 1.9420, 1.8983, 1.8388, 1.7963, 1.7641, 1.7358]


@pytest.mark.parametrize(
    ("kind", "train", "valid", "words"),
    [
        ("unknown", [3.0, 2.0], [3.0, 2.0], "too few"),
        ("improving", FALLING, [v + 0.1 for v in FALLING], "A longer --budget would help"),
        ("overfitting", FALLING, [3.0, 2.7, 2.5, 2.4, 2.4, 2.45, 2.5, 2.6], "more time would not"),
        ("unstable", [3.0, 2.5, 2.4, 2.9], [3.0, 2.5, 2.4, 2.9], "lower learning rate"),
        ("gap", FALLING, [3.0, 2.7, 2.5, 2.41, 2.405, 2.401, 2.4, 2.4], "More text would help most"),
        # still 1.1 % lower than at three quarters of the time, but two evaluations have not fallen any more
        ("gap", SETTLING, [*SETTLED, 1.7154, 1.7186, 1.7164], "More text would help most"),
        ("improving", SETTLING, [*SETTLED, 1.7254, 1.7154, 1.7164], "A longer --budget would help"),
        ("levelled", [3.0, 2.5, *[2.4] * 6], [3.0, 2.5, *[2.4] * 6], "levelled off together"),
    ],
)
def test_kinds(kind: str, train: list[float], valid: list[float], words: str) -> None:
    verdict = overfitting_verdict(curve(train, valid))
    assert verdict.kind == kind
    assert words in verdict.sentence


@pytest.mark.parametrize(
    ("passes", "kind"), [(0.07, "improving"), (0.99, "improving"), (1.0, "levelled"), (9.0, "levelled")]
)
def test_a_loss_that_falls_slowly_over_unread_text_has_not_levelled_off(passes: float, kind: str) -> None:
    losses = [2.8, 2.45, 2.32, 2.25, 2.2, 2.17, 2.16, 2.155]
    rows = curve(losses, losses)
    for number, row in enumerate(rows, 1):
        row["epochs"] = passes * number / len(rows)
    assert overfitting_verdict(rows).kind == kind


def test_overfitting_says_when_how_much_and_what_was_kept() -> None:
    verdict = overfitting_verdict(curve(FALLING, [3.0, 2.7, 2.5, 2.4, 2.41, 2.45, 2.5, 2.64]))
    assert "began after 4 min 00 s" in verdict.sentence
    assert "rose by 10.0%" in verdict.sentence
    assert "2.400 bits per byte" in verdict.sentence
    assert "grew to 0.74 bits per byte" in verdict.sentence


def test_dropout_makes_no_gap_and_noise_no_rise() -> None:
    verdict = overfitting_verdict(curve([3.2, 2.8, *[2.7] * 6], [3.0, 2.5, *[2.4] * 5, 2.405]))
    assert verdict.kind == "levelled"


def test_rows_without_a_loss_are_left_out() -> None:
    rows = curve([math.nan, 3.0, 2.4], [3.1, 3.0, 2.4])
    assert overfitting_verdict(rows).kind == "unknown"
    assert overfitting_verdict([]).kind == "unknown"


@pytest.mark.parametrize(
    ("steered", "tested", "told"),
    [
        (1.87, 2.371, "2.371 bits per byte, 27% more"),
        (2.0, 2.15, ""),
        (2.0, 1.8, ""),
        (None, 2.0, ""),
        (2.0, None, ""),
    ],
)
def test_a_test_text_that_is_further_away_is_told(steered, tested, told):
    found = further_text(steered, tested)
    assert told in found and bool(found) == bool(told)
