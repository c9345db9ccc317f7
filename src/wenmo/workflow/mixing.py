"""What becomes a mixture, and its scores: frozen, with members that learn on, and what each member saves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.models.base import LanguageModel
from wenmo.models.mixture import MixtureModel
from wenmo.models.side_by_side import beside

MOST_FITTED_TOKENS = 100_000
"""More held-out tokens than this change the weights of a mixture no more."""


def mixes(architecture: str, models: Iterable[LanguageModel]) -> bool:
    """Whether models become a mixture: several, or a single neural one where a mixture is wanted, with its cache.

    Args:
        architecture: What the recipe asks for.
        models: The models.
    """
    neural = [model.trainable for model in models]
    return len(neural) > 1 or (architecture in ("auto", "mixture") and any(neural))


@dataclass(frozen=True)
class MixtureScores:
    """Nats of a mixture on a stream of N tokens.

    Attributes:
        members: Of every token under each frozen member, float64 (M, N).
        static: Of every token under the frozen mixture, float64 (N,).
        prequential: The same where what can learn does so after each token; `static` where nothing can.
        shares: Mean weight of each member, and of the cache, when all are frozen.
        gains: Nats that each of them saves on the whole stream, learning on where anything does.
    """

    members: npt.NDArray[np.float64]
    static: npt.NDArray[np.float64]
    prequential: npt.NDArray[np.float64]
    shares: dict[str, float]
    gains: dict[str, float]


def score_mixture(
    mixture: MixtureModel, ids: npt.NDArray[np.int64], eos_id: int, adaptive: bool
) -> MixtureScores:
    """Scores a fitted mixture.

    Args:
        mixture: The mixture, whose weights were fitted in this process.
        ids: The stream (N,).
        eos_id: The token that stands before it.
        adaptive: Whether a member can learn on.
    """
    frozen = mixture.evidence(ids, mixture.context_length, False, eos_id)
    if not adaptive:
        static, (gains,) = beside(
            lambda: mixture.mix(frozen, False), [lambda: mixture.gains(frozen, adaptive)]
        )
        return MixtureScores(frozen.nats, static, static, mixture.shares(frozen), gains)
    said, (static,) = beside(
        lambda: mixture.evidence(ids, mixture.context_length, True, eos_id, neural=frozen),
        [lambda: mixture.mix(frozen, False)],
    )
    prequential, (gains,) = beside(lambda: mixture.mix(said, True), [lambda: mixture.gains(said, adaptive)])
    return MixtureScores(frozen.nats, static, prequential, mixture.shares(frozen), gains)
