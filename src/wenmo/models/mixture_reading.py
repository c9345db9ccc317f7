"""How the members of a mixture are read: along a stream for scores, and at every node for whole distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from . import token_tree, tree_mixing
from .base import LanguageModel
from .evidence import CACHE, Evidence, Mixer
from .likelihood import score_stream
from .loop_dispatch import compiles, divided, parts
from .ngram import NgramModel
from .recollection import REACH, SHARPNESSES, Recollection, likeness, stream_odds
from .side_by_side import beside
from .softmax_loop import softmax


@dataclass(frozen=True)
class Ground:
    """What the logistic way stands on.

    Attributes:
        tree: The tree of decisions.
        members: Names of the members.
        gate: The n-gram member, whose known contexts choose weights; None without one.
        recalled: The neural member whose entropy chooses weights and whose hidden vectors the cache compares; None
            without one.
    """

    tree: token_tree.Tree
    members: tuple[str, ...]
    gate: str | None
    recalled: str | None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Who gives the log-odds: the members, then the cache in each of its senses."""
        return (*self.members, *((CACHE,) * len(SHARPNESSES) if self.recalled else ()))

    @property
    def selectors(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Sets of weights that each input takes part in choosing; see `tree_mixing`."""
        return ((self.gate or "", (0, 2)), (self.recalled or "", (2,)), (CACHE, (4,)))


def read_stream(
    members: Sequence[tuple[str, LanguageModel]],
    ids: npt.NDArray[np.int64],
    ground: Ground | None,
    *,
    context: int,
    adaptive: bool,
    eos_id: int,
    neural: Evidence | None = None,
) -> Evidence:
    """Reads a token stream with every member.

    Args:
        members: Names and models.
        ids: The stream (N,), without the eos that begins it.
        ground: What the logistic way stands on; None when only the nats are wanted.
        context: Tokens in a window; see `likelihood.score_stream`.
        adaptive: Let members that can do so learn from each token after predicting it.
        eos_id: The token that stands before the stream.
        neural: What was found on the same stream before, from which all but the n-gram members' part is taken.
    """
    names = tuple(name for name, _ in members)
    nats, known = np.zeros((len(members), len(ids))), np.zeros(len(ids), np.int64)
    counters = [
        (index, member) for index, (_, member) in enumerate(members) if isinstance(member, NgramModel)
    ]
    networks = [
        (index, member) for index, (_, member) in enumerate(members) if not isinstance(member, NgramModel)
    ]
    if neural is not None:
        for index, _ in networks:
            nats[index] = neural.nats[index]
        networks = []
    if ground is None:

        def score() -> None:
            for index, member in networks:
                nats[index] = score_stream(member, ids, eos_id=eos_id, context=context, adaptive=adaptive)

        _, plain = beside(score, [partial(member.scan, ids, adaptive, eos_id) for _, member in counters])
        for (index, _), (own, _) in zip(counters, plain, strict=True):
            nats[index] = own
        return Evidence(names, nats, plain[0][1] if plain else known)
    tree = ground.tree
    lengths = np.diff(tree.path_offsets)[ids]
    count = int(lengths.sum())
    standing = np.zeros(count, np.int16)
    odds = np.zeros((count, len(ground.inputs)), np.float32)
    bands, support = np.zeros(len(ids), np.int8), np.zeros(count)
    if neural is not None:
        assert neural.odds is not None and neural.bands is not None and neural.support is not None
        odds, bands, support = neural.odds.copy(), neural.bands, neural.support

    def follow() -> None:
        nonlocal bands, support
        for index, member in networks:
            paths = Paths(ids, tree, count, keep_hidden=names[index] == ground.recalled)
            nats[index] = score_stream(member, ids, eos_id=eos_id, context=context, observe=paths)
            odds[:, index] = paths.odds
            if names[index] == ground.recalled:
                bands = paths.bands
                odds[:, len(members) :], support = stream_odds(torch.cat(paths.hidden), ids, tree)

    _, counted = beside(follow, [partial(m.scan_decisions, ids, adaptive, eos_id) for _, m in counters])
    for (index, _), scanned in zip(counters, counted, strict=True):
        nats[index], known, ones, standing = scanned
        odds[:, index] = np.clip(np.log(ones) - np.log1p(-ones), -tree_mixing.CLAMP, tree_mixing.CLAMP)
    last = token_tree.last_bytes(tree)[np.append(eos_id, ids[:-1])]
    rows, bits = tree_mixing.path_rows(
        ids, last, bands, known, standing, support, tree.depth, tree.path, tree.path_offsets
    )
    return Evidence(
        names, nats, known, ground.inputs, odds, bits, rows, lengths, ground.selectors, ground.recalled or "",
        bands, support,
    )  # fmt: skip


def mix_distributions(
    logs: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
    new: Sequence[int],
    recent: Recollection | None,
    known: npt.NDArray[np.int64],
    standing: npt.NDArray[np.int16],
    ground: Ground,
    mixer: Mixer,
) -> npt.NDArray[np.float32]:
    """Mixes whole distributions in the logistic way.

    Args:
        logs: Log-probabilities under each member (M, B, T, V).
        ids: Tokens that were read (B, T).
        new: How many of them count, for each row.
        recent: What the cache looks back at, these tokens included; None without a cache.
        known: Contexts that the n-gram member knows (B, T).
        standing: Standing of its longest known context at each node (B, T, V - 1).
        ground: What they are mixed on.
        mixer: The weights.

    Returns:
        Log-probabilities (B, T, V); zeros at padding.
    """
    last = token_tree.last_bytes(ground.tree)
    probabilities, bands = np.exp(logs), np.zeros(logs.shape[1:3], np.int8)
    if ground.recalled is not None:
        first_neural = ground.members.index(ground.recalled)
        for row in range(len(bands)):
            bands[row] = tree_mixing.entropy_bands(logs[first_neural, row], probabilities[first_neural, row])
    out = np.zeros(logs.shape[1:], np.float32)
    for row, count in enumerate(new):
        kernels, followers, first = np.zeros((0, count, 0), np.float32), np.zeros(0, np.int64), 0
        if recent is not None:
            end = int(recent.lengths[row])
            low = max(0, end - count - REACH)
            vectors = recent.vectors[row, low:end]
            first = end - count - low
            kernels = likeness(vectors[first:], vectors).cpu().numpy()
            kernels[:, :, :-1] *= recent.given[row, low + 1 : end].cpu().numpy()
            followers = np.append(recent.tokens[row, low + 1 : end].cpu().numpy(), 0)
        tree_mixing.mix_positions(
            np.ascontiguousarray(probabilities[:, row, :count]), bands[row], kernels, followers, first, REACH,
            last[ids[row, :count]], known[row, :count], standing[row, :count], ground.tree.children,
            ground.tree.depth, *mixer, out[row],
        )  # fmt: skip
    return out


class Paths:
    """Turns the logits of a stream into log-odds on the paths of its tokens; an observer of `score_stream`.

    Args:
        ids: The stream (N,).
        tree: The tree of decisions.
        count: Decisions on the paths of all tokens.
        keep_hidden: Whether the hidden vectors are kept.

    Attributes:
        odds: Log-odds of the decisions, float32 (D,).
        bands: Bands of entropy, int8 (N,).
        hidden: Hidden vectors in pieces (n, D).
    """

    def __init__(
        self, ids: npt.NDArray[np.int64], tree: token_tree.Tree, count: int, keep_hidden: bool
    ) -> None:
        self.odds = np.zeros(count, np.float32)
        self.bands = np.zeros(len(ids), np.int8)
        self.hidden: list[Tensor] = []
        self._ids, self._tree, self._keep = ids, tree, keep_hidden
        self._order = np.argsort(tree.rank)
        self._token = self._place = 0

    def __call__(self, hidden: Tensor, logits: Tensor) -> None:
        """See `likelihood.Observer`."""
        tokens = slice(self._token, self._token + len(logits))
        probabilities, self.bands[tokens] = _distributions(logits)
        ids = self._ids[tokens]
        ends = self._place + np.cumsum(np.diff(self._tree.path_offsets)[ids])
        divided(
            tree_mixing.path_odds, len(ids), parts(len(ids), probabilities.size), probabilities, ids, self._order,
            self._tree.middle, self._tree.path, self._tree.path_offsets, np.append(self._place, ends[:-1]), self.odds,
        )  # fmt: skip
        self._place = int(ends[-1])
        self._token += len(logits)
        if self._keep:
            self.hidden.append(hidden)


def _distributions(logits: Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Probabilities (n, V) and the bands of their entropies (n,), from logits (n, V)."""
    if not compiles(logits) or not logits.is_contiguous():
        logs = logits.log_softmax(-1)
        given = logs.exp().cpu().numpy()
        return given, tree_mixing.entropy_bands(logs.cpu().numpy(), given)
    first, _, likely = softmax(
        logits, None, torch.zeros(len(logits), 1, dtype=torch.int64), False, torch.empty_like(logits)
    )
    probabilities, means = likely.numpy(), np.empty(len(logits), np.float32)
    divided(
        tree_mixing.mean_logits, len(logits), parts(len(logits), logits.numel()), probabilities, logits.numpy(), means
    )  # fmt: skip
    # -sum p log p, with log p = logits - norm.
    norm = (logits[:, 0] - first[:, 0]).numpy()
    return probabilities, tree_mixing.bands_of(norm - means)
