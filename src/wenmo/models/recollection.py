"""A cache over a model's own hidden vectors: what followed the places of the recent text that looked like this one.

Grave, Joulin and Usunier, "Improving neural language models with a continuous cache" (2017,
https://arxiv.org/abs/1612.04426). Likeness is exp(s (cos - 1)) of the hidden vectors; the sums of it over what followed
are evidence for each token, without normalisation, so that little evidence is told from much.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from . import token_tree, tree_mixing
from .side_by_side import side_by_side

SHARPNESSES = (8.0, 25.0)
"""The factors s: a broad and a narrow notion of likeness."""
REACH = 4096
"""Tokens back that the cache looks at."""
QUERIES = 256
"""Places compared at once."""


@dataclass(frozen=True)
class Recollection:
    """The text that each row has read, with the hidden vectors at its places.

    Attributes:
        vectors: Unit vectors, float32 (B, L, D).
        tokens: The tokens after which they stood, int64 (B, L).
        lengths: Tokens read by each row, int64 (B,).
        given: Whether each token was given, bool (B, L); one that the model wrote itself is no evidence.
    """

    vectors: Tensor
    tokens: Tensor
    lengths: Tensor
    given: Tensor

    @classmethod
    def empty(cls, batch: int, size: int, device: torch.device) -> Recollection:
        """Returns that of rows that have read nothing, for vectors of `size`."""
        return cls(
            torch.zeros(batch, 0, size, device=device),
            torch.zeros(batch, 0, dtype=torch.int64, device=device),
            torch.zeros(batch, dtype=torch.int64, device=device),
            torch.zeros(batch, 0, dtype=torch.bool, device=device),
        )

    def select(self, rows: Tensor) -> Recollection:
        """See `State.select`."""
        return Recollection(self.vectors[rows], self.tokens[rows], self.lengths[rows], self.given[rows])

    def truncate(self, lengths: Tensor) -> Recollection:
        """See `State.truncate`."""
        longest = int(lengths.max()) if len(lengths) else 0
        kept = slice(None), slice(longest)
        return Recollection(self.vectors[kept], self.tokens[kept], lengths.clone(), self.given[kept])

    def extended(self, hidden: Tensor, ids: Tensor, lengths: Tensor | None, own: bool) -> Recollection:
        """Returns it with further places: hidden (B, T, D) and ids (B, T), of which row b has lengths[b].

        The model wrote these ids itself when they are its `own`.
        """
        vectors, width = normalize(hidden.float(), dim=-1), ids.shape[1]
        new = torch.full_like(ids, not own, dtype=torch.bool)
        read = torch.full_like(self.lengths, width) if lengths is None else lengths
        after = self.lengths + read
        old = self.tokens.shape[1]
        if bool((self.lengths == old).all()):
            joined = [
                torch.cat(pair, 1)
                for pair in ((self.vectors, vectors), (self.tokens, ids), (self.given, new))
            ]
            return Recollection(joined[0], joined[1], after, joined[2])
        longest = int(after.max())
        places = self.lengths[:, None] + torch.arange(width, device=ids.device)
        grown = self.vectors.new_zeros(len(ids), max(longest, old) + width, vectors.shape[-1])
        tokens = self.tokens.new_zeros(len(ids), max(longest, old) + width)
        given = self.given.new_zeros(tokens.shape)
        grown[:, :old], tokens[:, :old], given[:, :old] = self.vectors, self.tokens, self.given
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        grown[rows, places], tokens[rows, places], given[rows, places] = vectors, ids, new
        return Recollection(grown[:, :longest], tokens[:, :longest], after, given[:, :longest])


def likeness(queries: Tensor, keys: Tensor) -> Tensor:
    """Likeness of unit vectors (Q, D) and (K, D) under each sharpness: float32 (S, Q, K)."""
    cosines = queries @ keys.T
    found = cosines.new_empty(len(SHARPNESSES), *cosines.shape)
    for sharpness, out in zip(SHARPNESSES, found, strict=True):
        torch.sub(cosines, 1.0, out=out).mul_(sharpness).exp_()
    return found


def stream_odds(
    hidden: Tensor, ids: npt.NDArray[np.int64], tree: token_tree.Tree
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """What the cache says of the decisions on the paths of a stream's tokens.

    Args:
        hidden: Hidden vectors (N, D), the nth of which predicts ids[n].
        ids: The stream (N,).
        tree: The tree of decisions.

    Returns:
        Log-odds under each sharpness, float32 (D, S), and the sum of the broadest likeness at each decision, (D,).
    """
    ranks = tree.rank[ids].astype(np.int32)
    vectors = normalize(hidden.float(), dim=-1)

    def look(firsts: npt.NDArray[np.int64]) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]]:
        found = []
        with torch.no_grad():
            for first in firsts.tolist():
                sums = _sums(vectors, ids, ranks, tree, first)
                found.append((tree_mixing.evidence_odds(sums), sums[:, :, 0].sum(1)))
        return found

    shares = np.array_split(np.arange(0, len(ids), QUERIES), torch.get_num_threads())
    pieces = [piece for share in side_by_side([partial(look, share) for share in shares]) for piece in share]
    odds, support = zip(*pieces, strict=True)
    return np.concatenate(odds), np.concatenate(support)


def _sums(
    vectors: Tensor,
    ids: npt.NDArray[np.int64],
    ranks: npt.NDArray[np.int32],
    tree: token_tree.Tree,
    first: int,
) -> npt.NDArray[np.float64]:
    """Evidence (D, 2, S) at the decisions of up to `QUERIES` tokens from the one at `first`; see `add_evidence`."""
    low, high = max(0, first - REACH), min(first + QUERIES, len(ids))
    kernels = likeness(vectors[first:high], vectors[low:high]).cpu().numpy()
    decisions = np.diff(tree.path_offsets)[ids[first:high]].sum()
    sums = np.zeros((int(decisions), 2, len(SHARPNESSES)))
    tree_mixing.add_evidence(
        kernels, first, low, REACH, ids, tree.path, tree.path_offsets, ranks, tree.middle, sums
    )
    return sums


def filling_seconds(size: int, tree: token_tree.Tree, device: torch.device, tokens: int) -> float:
    """Seconds by which a token of a long stream takes longer than one of a stream of `tokens`, timed.

    There the cache looks back all of its reach, and places are compared by all threads.

    Args:
        size: Length of the hidden vectors.
        tree: The tree of decisions.
        device: Where the vectors are.
        tokens: Length of the short stream.
    """
    vectors = torch.full((REACH + QUERIES, size), size**-0.5, device=device)
    ids = np.arange(len(vectors)) % (len(tree.children) + 1)
    ranks = tree.rank[ids].astype(np.int32)
    started = time.monotonic()
    _sums(vectors, ids, ranks, tree, REACH)
    seconds = (time.monotonic() - started) / QUERIES / torch.get_num_threads()
    return seconds * max(1.0 - 0.5 * tokens / REACH, 0.0)
