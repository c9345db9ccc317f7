import numpy as np
import pytest

from wenmo.comparison.extrapolation import LOWEST_OFFSET, fit_curve

LENGTHS = 30.0 * np.array([0.25, 0.5, 1.0, 1.0, 1.0])
NOISE = 0.006


def curves(count: int, seed: int = 0):
    """Made curves with their noisy points: offset, excess, exponent, scores."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        offset, excess = rng.uniform(1.2, 2.0), rng.uniform(0.2, 1.0)
        exponent = np.exp(np.log(0.4) + 0.8 * rng.standard_normal())
        scores = offset + excess * (LENGTHS / 30.0) ** -exponent
        yield offset, excess, exponent, scores + NOISE * rng.standard_normal(len(LENGTHS))


@pytest.mark.parametrize("ratio", [5, 20])
def test_error_bars_cover_what_they_say(ratio: int) -> None:
    inside, errors, naive = [], [], []
    for number, (offset, excess, exponent, scores) in enumerate(curves(80, seed=ratio)):
        curve = fit_curve(LENGTHS, scores, noise=NOISE, freedom=6, seed=number)
        true = offset + excess * ratio**-exponent
        middle, low, high = curve.at(30.0 * ratio, level=0.9)
        assert low < middle < high
        inside.append(low <= true <= high)
        errors.append(abs(middle / true - 1))
        naive.append(abs(scores[-3:].mean() / true - 1))
    assert np.mean(inside) >= 0.9
    assert np.mean(errors) < 0.5 * np.mean(naive)  # beside taking the last score for the prediction


def test_a_curve_without_noise_is_followed() -> None:
    lengths = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    curve = fit_curve(lengths, 1.5 + 1.0 * lengths**-0.5, noise=1e-4, freedom=20)
    for seconds in (4.0, 16.0, 64.0):
        assert curve.at(seconds)[0] == pytest.approx(1.5 + seconds**-0.5, rel=0.005)


def test_intervals_grow_with_the_distance() -> None:
    scores = 1.6 + 0.5 * (LENGTHS / 30.0) ** -0.4
    curve = fit_curve(LENGTHS, scores, noise=NOISE, freedom=6)
    widths = [curve.at(30.0 * ratio)[2] - curve.at(30.0 * ratio)[1] for ratio in (1, 4, 16, 64)]
    assert widths == sorted(widths) and widths[-1] > 2 * widths[0]


@pytest.mark.parametrize("scores", [[2.0, 2.1, 2.2, 2.2, 2.2], [2.0, 2.0, 2.0, 2.0, 2.0]])
def test_points_that_do_not_fall_give_a_level_curve(scores: list[float]) -> None:
    curve = fit_curve(LENGTHS, np.array(scores), noise=NOISE, freedom=6)
    middle, low, high = curve.at(600.0)
    assert middle == pytest.approx(scores[-1], rel=0.03)
    assert low < scores[-1] < high


def test_bounds_and_repeatability() -> None:
    scores = np.array([4.0, 3.0, 2.2, 2.2, 2.2])  # steeper than any power law with an offset above 0
    curve = fit_curve(LENGTHS, scores, noise=NOISE, freedom=6)
    assert (curve.draws(1e9) > 0).mean() > 0.99 and (curve.offset >= LOWEST_OFFSET * 2.2).all()
    again = fit_curve(LENGTHS, scores, noise=NOISE, freedom=6)
    assert curve.at(300.0) == again.at(300.0)


@pytest.mark.parametrize(
    ("lengths", "scores"), [([1.0, 1.0], [2.0, 2.1]), ([0.0, 1.0], [2.0, 2.1]), ([1.0, 2.0], [np.nan, 2.0])]
)
def test_what_makes_no_curve_is_refused(lengths: list[float], scores: list[float]) -> None:
    with pytest.raises(ValueError):
        fit_curve(np.array(lengths), np.array(scores))
