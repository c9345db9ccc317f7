"""Weights of a mixture of distributions, from the negative log-likelihoods its members give to the same tokens.

The log-likelihood of a mixture is concave in its weights, and expectation maximisation (Dempster, Laird and
Rubin, 1977) raises it at every step; this is the interpolation of language models of Jelinek and Mercer (1980).
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

ITERATIONS = 200
TOLERANCE = 1e-7
"""Largest change of a weight at which EM stops."""
SHRINKAGE = 50.0
"""Tokens' worth of the global weights that a bucket starts with."""
FOLDS = 5
"""Contiguous parts of the held-out text for deciding on the gate."""
ADAPTATION = 0.005
"""Least share by which the weights follow every token in adaptive scoring."""
STEADINESS = 30.0
"""Tokens' worth of the fitted weights when adaptive scoring begins: they were fitted for frozen members."""


def fit_weights(
    member_nats: npt.NDArray[np.floating],
    prior: npt.NDArray[np.float64] | None = None,
    strength: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Fits the weights under which a mixture gives the tokens the largest likelihood.

    Args:
        member_nats: Nats of every token under each member (M, N).
        prior: Weights (M,) towards which they are shrunk.
        strength: Tokens that the prior counts for (a Dirichlet prior).

    Returns:
        Weights (M,), not negative, of sum 1.

    Raises:
        ValueError: When there are no tokens.
    """
    members, tokens = member_nats.shape
    if tokens == 0:
        raise ValueError("there are no tokens to fit weights on")
    likelihood = np.exp(member_nats.min(0) - member_nats)
    weights = np.full(members, 1.0 / members) if prior is None else prior.astype(np.float64)
    anchor = weights
    for _ in range(ITERATIONS):
        joint = weights[:, None] * likelihood
        posterior = (joint / joint.sum(0)).sum(1)
        new = (posterior + strength * anchor) / (tokens + strength)
        change = np.abs(new - weights).max()
        weights = new
        if change < TOLERANCE:
            break
    result: npt.NDArray[np.float64] = weights / weights.sum()
    return result


def mixture_nats(
    member_nats: npt.NDArray[np.floating], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Nats of every token under the mixture (N,); `weights` is (M,), or (M, N) when they differ by token."""
    least = member_nats.min(0)
    spread = weights if weights.ndim == 2 else weights[:, None]
    result: npt.NDArray[np.float64] = least - np.log((spread * np.exp(least - member_nats)).sum(0))
    return result


def fit_gate(
    member_nats: npt.NDArray[np.floating], buckets: npt.NDArray[np.integer], num_buckets: int
) -> npt.NDArray[np.float64]:
    """Fits weights for each bucket of tokens, if that pays on text the weights have not seen.

    Contiguous folds are held out in turn. Only when the weights by bucket give them fewer nats than one set of
    weights for all are they used.

    Args:
        member_nats: Nats of every token under each member (M, N).
        buckets: Bucket of every token, known before it, int (N,), from 0 to num_buckets - 1.
        num_buckets: Number of buckets.

    Returns:
        Weights (num_buckets, M); the same row everywhere when the gate does not pay.

    Raises:
        ValueError: When there are no tokens.
    """
    overall = fit_weights(member_nats)
    level = np.tile(overall, (num_buckets, 1))
    tokens = len(buckets)
    if tokens < 2 * FOLDS:
        return level
    gated_nats = plain_nats = 0.0
    for fold in np.array_split(np.arange(tokens), FOLDS):
        kept = np.ones(tokens, bool)
        kept[fold] = False
        plain = fit_weights(member_nats[:, kept])
        gated = _by_bucket(member_nats[:, kept], buckets[kept], num_buckets, plain)
        plain_nats += float(mixture_nats(member_nats[:, fold], plain).sum())
        gated_nats += float(mixture_nats(member_nats[:, fold], gated[buckets[fold]].T).sum())
    if gated_nats >= plain_nats:
        return level
    return _by_bucket(member_nats, buckets, num_buckets, overall)


def _by_bucket(
    member_nats: npt.NDArray[np.floating],
    buckets: npt.NDArray[np.integer],
    num_buckets: int,
    overall: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    gated = np.tile(overall, (num_buckets, 1))
    for bucket in np.unique(buckets):
        gated[bucket] = fit_weights(member_nats[:, buckets == bucket], overall, SHRINKAGE)
    return gated


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def adaptive_nats(
    member_nats: npt.NDArray[np.float64],
    buckets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    rate: float,
) -> npt.NDArray[np.float64]:
    """Nats of every token under a mixture whose weights follow what the members were worth (online EM).

    After the nth token of a bucket its weights move towards the members' posterior probabilities, by the share
    1 / (n + STEADINESS), which is that of their average, but by no less than `rate`.

    Args:
        member_nats: Nats of every token under each member (M, N).
        buckets: Bucket of every token (N,).
        weights: Weights at the beginning (buckets, M); not changed.
        rate: Least share by which the weights follow.

    Returns:
        Nats of every token (N,).
    """
    members, tokens = member_nats.shape
    current = weights.copy()
    nats = np.empty(tokens, np.float64)
    joint = np.empty(members, np.float64)
    seen = np.zeros(len(weights), np.float64)
    for t in range(tokens):
        row = current[buckets[t]]
        least = member_nats[:, t].min()
        total = 0.0
        for m in range(members):
            joint[m] = row[m] * np.exp(least - member_nats[m, t])
            total += joint[m]
        nats[t] = least - np.log(total)
        seen[buckets[t]] += 1.0
        share = max(rate, 1.0 / (seen[buckets[t]] + STEADINESS))
        for m in range(members):
            row[m] += share * (joint[m] / total - row[m])
    return nats
