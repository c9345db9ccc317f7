"""How sure an answer is, and from when on it is given: both fitted on held-out questions, never guessed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Doubles = npt.NDArray[np.float64]


def logistic_regression(x: Doubles, y: Doubles, penalty: float = 1.0, rounds: int = 50) -> Doubles:
    """Fits log-odds = w . x + b by Newton's method on the penalised likelihood.

    Args:
        x: (N, D).
        y: 0 or 1, (N,).
        penalty: Of the squared weights (not of b), on standardised columns.
        rounds: Most steps.

    Returns:
        Weights and b, (D + 1,).
    """
    mean, scale = x.mean(0), x.std(0) + 1e-9
    z = np.concatenate([(x - mean) / scale, np.ones((len(x), 1))], 1)
    ridge = np.diag([penalty] * x.shape[1] + [1e-3])
    w = np.zeros(z.shape[1])
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -30, 30)))
        gradient = z.T @ (p - y) + ridge @ w
        hessian = (z * (p * (1 - p))[:, None]).T @ z + ridge
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < 1e-8:
            break
    weights = w[:-1] / scale
    return np.append(weights, w[-1] - weights @ mean)


class Confidence(BaseModel):
    """From the numbers of a best answer to a probability that it is right, and the least one at which it is given.

    `count` held-out questions decided; `answerable_f1` and `refused` say what the threshold does on them.
    """

    model_config = ConfigDict(frozen=True)

    weights: tuple[float, ...]
    """Of each number, and the constant."""
    threshold: float
    """Least probability at which an answer is given."""
    count: int
    """Held-out questions it was fitted on, with and without an answer."""
    answerable_f1: float
    """F1 on those with an answer, in percent, refusals counted as 0."""
    refused: float
    """Share of those without an answer that were refused, in percent."""

    def probability(self, numbers: Doubles) -> Doubles:
        """Probability that each answer is right.

        Args:
            numbers: (N, D), or (D,) for one answer.
        """
        odds = numbers @ np.array(self.weights[:-1]) + self.weights[-1]
        return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


@dataclass(frozen=True)
class Held:
    """A held-out question with the answer that would be given.

    Attributes:
        numbers: What the confidence is computed from.
        f1: F1 of the answer, 0 to 1; 0 when there is nothing to find.
        answerable: Whether an answer was there to be found.
    """

    numbers: tuple[float, ...]
    f1: float
    answerable: bool


def fit_confidence(held: list[Held]) -> Confidence:
    """Fits probability and threshold.

    The threshold maximises the mean of two shares: the F1 on questions with an answer (a refusal counts 0) and the
    refusals of questions without one.

    Raises:
        ValueError: Without questions of both kinds.
    """
    answerable = np.array([item.answerable for item in held])
    if not held or answerable.all() or not answerable.any():
        raise ValueError("questions with and without an answer are needed")
    numbers = np.array([item.numbers for item in held], np.float64)
    f1 = np.array([item.f1 for item in held])
    weights = logistic_regression(numbers, (f1 >= 0.5).astype(np.float64))
    fitted = Confidence(
        weights=tuple(weights.tolist()), threshold=0.0, count=len(held), answerable_f1=0.0, refused=0.0
    )
    chance = fitted.probability(numbers)
    found, refused = chance[answerable], chance[~answerable]
    best = (-1.0, 0.0, 0.0, 0.0)
    values = np.unique(chance)
    for threshold in np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [values[-1] + 1e-6]]):
        kept = float((f1[answerable] * (found >= threshold)).mean())
        none = float((refused < threshold).mean())
        best = max(best, ((kept + none) / 2, float(threshold), kept, none))
    return fitted.model_copy(
        update={"threshold": best[1], "answerable_f1": 100 * best[2], "refused": 100 * best[3]}
    )
