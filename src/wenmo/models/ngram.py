"""An n-gram model by context mixing: it learns in one pass, in seconds, and may go on learning while it predicts.

See `context_mixing` for how it predicts. The contexts are characters and words of the text before the token, so
the model works alike for any tokenizer and for Chinese as for English.
"""

from __future__ import annotations

import itertools
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from wenmo.progress import Progress

from . import context_mixing, mixing_tables, recent_text, token_tree
from .base import LanguageModel, ModelConfig, State
from .mixing_tables import MAX_SLOT_BITS, Tables, follower_bits, slot_bits

KERNELS = 2
"""Raised whenever the meaning of a saved table changes, since hashes and sizes do not show it."""
CHUNK = 1 << 14
"""Tokens read between two progress reports, and between two changes of the learning rate."""
RATE, EXTRA_RATE, RATE_TOKENS = 0.002, 0.012, 50_000
"""The mixers learn at RATE + EXTRA_RATE / (1 + tokens read / RATE_TOKENS)."""


class NgramConfig(ModelConfig):
    """Shape of an n-gram model."""

    architecture: Literal["ngram"] = "ngram"
    context_length: int = 256
    orders: tuple[int, ...] = (0, 1, 2, 3, 4, 6)
    """Characters of each context, ascending, at most `recent_text.CHARS`."""
    slot_bits: int | None = Field(default=None, ge=10, le=MAX_SLOT_BITS)
    """Binary logarithm of the number of slots; derived from the training text when None."""


class NgramState(State):
    """The ids that each row has read; the contexts follow from them.

    Attributes:
        lengths: int64 (B,).
        history: Ids, int64 (B, width), on the CPU; row b holds lengths[b] of them, the rest is padding.
        recent: Vector of recent text of each row, uint64 (B, recent_text.RECENT).
    """

    def __init__(
        self, lengths: Tensor, history: Tensor, recent: npt.NDArray[np.uint64], tree: token_tree.Tree
    ) -> None:
        self.lengths = lengths
        self.history = history
        self.recent = recent
        self.tree = tree

    def select(self, rows: Tensor) -> NgramState:
        """See `State.select`."""
        rows = rows.cpu()
        return NgramState(self.lengths[rows], self.history[rows], self.recent[rows.numpy()], self.tree)

    def truncate(self, lengths: Tensor) -> NgramState:
        """See `State.truncate`.

        Raises:
            ValueError: When a length exceeds what the row has read, or is negative.
        """
        lengths = lengths.cpu()
        if bool((lengths > self.lengths).any()) or bool((lengths < 0).any()):
            raise ValueError("cannot truncate to more tokens than were read")
        width = int(lengths.max()) if len(lengths) else 0
        recent = np.zeros_like(self.recent)
        for row, length in enumerate(lengths.tolist()):
            context_mixing.read(self.history[row, :length].numpy(), recent[row], self.tree)
        return NgramState(lengths, self.history[:, :width], recent, self.tree)


class NgramModel(LanguageModel):
    """Context mixing over a binary tree of the vocabulary. Lives on the CPU; fitted by `fit`, not by gradients."""

    architecture = "ngram"
    trainable = False
    config: NgramConfig

    def __init__(self, config: NgramConfig) -> None:
        super().__init__()
        if list(config.orders) != sorted(set(config.orders)) or not config.orders[0] >= 0:
            raise ValueError("orders must ascend")
        if config.orders[-1] > recent_text.CHARS:
            raise ValueError(f"orders must not exceed {recent_text.CHARS}")
        self.config = config
        self.tokens_seen = 0
        self._orders = np.array(config.orders, np.int64)
        self._place([b""] * config.vocab_size, token_tree.shape([b""] * config.vocab_size, None))
        self._tables = mixing_tables.new_tables(len(config.orders), config.slot_bits or 10, 10)

    @property
    def device(self) -> torch.device:
        """Always the CPU."""
        return torch.device("cpu")

    def fit(
        self, ids: npt.NDArray[np.integer], token_bytes: list[bytes], *, progress: Progress | None = None
    ) -> None:
        """Learns from a token stream in one pass in order; called again, it goes on learning.

        Args:
            ids: Token ids (N,): documents joined, each followed by eos. May be memory-mapped.
            token_bytes: Bytes of each token; eos has none. The first call decides the tree of tokens.
            progress: Told of every token read.

        Raises:
            ValueError: When the number of tokens is not that of the configuration, or an id is out of range.
        """
        if len(token_bytes) != self.vocab_size:
            raise ValueError(f"the tokenizer has {len(token_bytes)} tokens, the model {self.vocab_size}")
        if self.tokens_seen == 0:
            self._begin(ids, token_bytes)
        recent = self._beginning(token_bytes.index(b"") if b"" in token_bytes else None)
        for start in range(0, len(ids), CHUNK):
            chunk = np.asarray(ids[start : start + CHUNK], np.int64)
            self._check(chunk)
            self._run(self._tables, chunk, recent, self.tokens_seen)
            self.tokens_seen += len(chunk)
            if progress is not None:
                progress.advance(len(chunk))

    def foretell(
        self,
        ids: npt.NDArray[np.integer],
        top: npt.NDArray[np.int32],
        probabilities: npt.NDArray[np.float32],
        *,
        share: float = 1.0,
        before: npt.NDArray[np.integer],
        progress: Progress | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Goes on learning as `fit` does, and says before each token which ones it expects.

        Args:
            ids: Token ids (N,).
            top: Receives the likeliest tokens in order (N, K).
            probabilities: Receives their probabilities (N, K), 0 where none is named.
            share: Tokens are named until they have this much of the probability.
            before: What stands before the first token (M,); it is read, and not learned from.
            progress: Told of every token read.

        Returns:
            Nats of every token, float64 (N,), and how many contexts were known before it, int64 (N,).

        Raises:
            ValueError: When an id is out of range.
        """
        recent, preceding = self._beginning(None), np.asarray(before, np.int64)
        self._check(preceding)
        context_mixing.read(preceding, recent, self._tree)
        nats, known = np.zeros(len(ids)), np.zeros(len(ids), np.int64)
        probabilities[:] = 0.0
        for start in range(0, len(ids), CHUNK):
            part = slice(start, start + CHUNK)
            chunk = np.asarray(ids[part], np.int64)
            self._check(chunk)
            rate = _rate(self.tokens_seen)
            nats[part], known[part] = context_mixing.likeliest(
                chunk, recent, self._orders, self._tree, self._tables, True, rate, share, top[part],
                probabilities[part],
            )  # fmt: skip
            self.tokens_seen += len(chunk)
            if progress is not None:
                progress.advance(len(chunk))
        return nats, known

    def learn(self, ids: npt.NDArray[np.integer], eos_id: int = 0) -> None:
        """Learns from the tokens of one more document, such as a prompt; see `adaptive_copy`."""
        chunk = np.asarray(ids, np.int64)
        self._check(chunk)
        self._run(self._tables, chunk, self._beginning(eos_id), self.tokens_seen)
        self.tokens_seen += len(chunk)

    def adaptive_copy(self) -> NgramModel:
        """Returns a model that may `learn` without changing this one."""
        copy = NgramModel(self.config)
        copy._tree, copy.tokens_seen = self._tree, self.tokens_seen
        copy._tables = mixing_tables.copy_tables(self._tables)
        return copy

    def initial_state(self, batch: int) -> NgramState:
        """See `LanguageModel.initial_state`."""
        recent = np.zeros((batch, recent_text.RECENT), np.uint64)
        empty = torch.zeros(batch, 0, dtype=torch.int64)
        return NgramState(torch.zeros(batch, dtype=torch.int64), empty, recent, self._tree)

    @property
    def num_contexts(self) -> int:
        """Number of contexts in which a token is predicted."""
        return len(self._orders) + recent_text.EXTRA

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NgramState]:
        """See `LanguageModel.forward`. The tables stay as they are."""
        logits, after, _ = self.predict(ids, state, lengths)
        return logits, after

    def predict(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NgramState, Tensor]:
        """Predicts as `forward` does, and tells how well the text before each prediction is known.

        Returns:
            Logits (B, T, V), the new state, and the number of contexts, from 0 to `num_contexts`, that were seen
            in training before the prediction at each position, int64 (B, T).
        """
        logits, after, known, _ = self._predict(ids, state, lengths, decisions=False)
        return logits, after, known

    def predict_decisions(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NgramState, Tensor, npt.NDArray[np.int16]]:
        """Predicts as `predict` does, and tells what was known at every decision.

        Returns:
            What `predict` returns, and the standing of the longest known context at every node of the tree, int16
            (B, T, V - 1); see `context_mixing.run_decisions`.
        """
        return self._predict(ids, state, lengths, decisions=True)

    def _predict(
        self, ids: Tensor, state: State | None, lengths: Tensor | None, decisions: bool
    ) -> tuple[Tensor, NgramState, Tensor, npt.NDArray[np.int16]]:
        before = self.initial_state(len(ids)) if state is None else state
        assert isinstance(before, NgramState)
        given = ids.detach().cpu()
        read = torch.full((len(ids),), ids.shape[1]) if lengths is None else lengths.cpu()
        logits = np.zeros((*ids.shape, self.vocab_size), np.float32)
        known = np.zeros(tuple(ids.shape), np.int64)
        nodes = (*ids.shape, self.vocab_size - 1) if decisions else (len(ids), 0, self.vocab_size - 1)
        standing = np.zeros(nodes, np.int16)
        recent = before.recent.copy()
        after = before.lengths + read
        history = torch.zeros(len(ids), int(after.max()) if len(ids) else 0, dtype=torch.int64)
        for row, (old, new) in enumerate(zip(before.lengths.tolist(), read.tolist(), strict=True)):
            history[row, :old] = before.history[row, :old]
            history[row, old : old + new] = given[row, :new]
            tokens = given[row, :new].numpy()
            self._check(tokens)
            context_mixing.read_and_predict(
                tokens, recent[row], self._orders, self._tree, self._tables, logits[row], known[row],
                standing[row],
            )  # fmt: skip
        state = NgramState(after, history, recent, self._tree)
        return torch.from_numpy(logits).to(ids.device), state, torch.from_numpy(known), standing

    def token_nats(
        self, ids: npt.NDArray[np.integer], context: int, adaptive: bool, eos_id: int = 0
    ) -> npt.NDArray[np.float64]:
        """Scores a stream in one pass; see `LanguageModel.token_nats`. `context` is of no concern to it."""
        return self.scan(ids, adaptive, eos_id)[0]

    def scan(
        self, ids: npt.NDArray[np.integer], adaptive: bool, eos_id: int = 0
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Returns the nats of every token, float64 (N,), and how many contexts were known before it, int64 (N,)."""
        tokens = np.asarray(ids, np.int64)
        self._check(tokens)
        recent = self._beginning(eos_id)
        if not adaptive:
            nats, known = context_mixing.run(
                tokens, recent, self._orders, self._tree, self._tables, False, 0.0
            )
            return nats, known
        return self._run(mixing_tables.copy_tables(self._tables), tokens, recent, self.tokens_seen)

    def scan_decisions(
        self, ids: npt.NDArray[np.integer], adaptive: bool, eos_id: int = 0
    ) -> tuple[
        npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int16]
    ]:
        """Scores as `scan` does, and returns as well what was predicted on the tokens' paths.

        Returns:
            What `scan` returns; the probability that each decision is 1, float64 (D,), for the paths of all tokens
            joined; and the standing of its longest known context, int16 (D,).
        """
        tokens = np.asarray(ids, np.int64)
        self._check(tokens)
        recent = self._beginning(eos_id)
        tables = mixing_tables.copy_tables(self._tables) if adaptive else self._tables
        decisions = int(np.diff(self._tree.path_offsets)[tokens].sum())
        ones, standing = np.zeros(decisions, np.float64), np.zeros(decisions, np.int16)
        nats, known, place = [], [], 0
        for start in range(0, max(len(tokens), 1), CHUNK):
            chunk = tokens[start : start + CHUNK]
            size = int(np.diff(self._tree.path_offsets)[chunk].sum())
            piece = slice(place, place + size)
            scored = context_mixing.run_decisions(
                chunk, recent, self._orders, self._tree, tables, adaptive,
                _rate(self.tokens_seen + start), ones[piece], standing[piece],
            )  # fmt: skip
            nats.append(scored[0])
            known.append(scored[1])
            place += size
        return np.concatenate(nats), np.concatenate(known), ones, standing

    @property
    def tree(self) -> token_tree.Tree:
        """The tree of decisions that lead to the tokens."""
        return self._tree

    def num_parameters(self) -> int:
        """Number of slots in use."""
        return int(np.count_nonzero(self._tables.slots))

    def saved_tensors(self) -> dict[str, Tensor]:
        """See `LanguageModel.saved_tensors`: of hash tables only what is in use, and a bit for each place."""
        arrays = mixing_tables.packed(self._tables) | {
            "kernels": np.array([KERNELS], np.int64),
            "children": self._tree.children,
            "token_bytes": self._tree.bytes,
            "byte_offsets": self._tree.byte_offsets,
            "tokens_seen": np.array([self.tokens_seen], np.int64),
        }
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    @classmethod
    def restore(
        cls, config: ModelConfig, tensors: dict[str, Tensor], members: dict[str, LanguageModel]
    ) -> Self:
        """See `LanguageModel.restore`."""
        assert isinstance(config, NgramConfig)
        model = cls(config)
        if "kernels" not in tensors or int(tensors["kernels"][0]) != KERNELS:
            raise ValueError(
                "this n-gram model was written by another version of wenmo, whose tables mean something else; "
                "train it again, which takes seconds"
            )
        wanted = set(model.saved_tensors())
        if wanted != set(tensors):
            name = min(wanted ^ set(tensors))
            raise ValueError(f"tensor {name} is {'missing' if name in wanted else 'unknown'}")
        arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
        bounds = arrays["byte_offsets"]
        joined = arrays["token_bytes"].tobytes()
        if len(bounds) != config.vocab_size + 1:
            raise ValueError("tensor byte_offsets has a wrong length")
        tables = mixing_tables.unpacked(arrays, model._tables, config.vocab_size)
        token_tree.check_children(arrays["children"], config.vocab_size)
        token_bytes = [joined[a:b] for a, b in itertools.pairwise(bounds)]
        model._place(token_bytes, arrays["children"].copy())
        model._tables = tables
        model.tokens_seen = int(arrays["tokens_seen"][0])
        return model

    def _begin(self, ids: npt.NDArray[np.integer], token_bytes: list[bytes]) -> None:
        """Shapes the tree and the table after the first text."""
        counts = np.zeros(self.vocab_size, np.int64)
        for start in range(0, len(ids), 1 << 20):
            chunk = np.asarray(ids[start : start + (1 << 20)], np.int64)
            self._check(chunk)
            counts += np.bincount(chunk, minlength=self.vocab_size)
        self._place(token_bytes, token_tree.shape(token_bytes, counts))
        bits = self.config.slot_bits
        if bits is None:
            decisions = float(counts @ np.diff(self._tree.path_offsets))
            bits = slot_bits(decisions)
            self.config = self.config.model_copy(update={"slot_bits": bits})
        self._tables = mixing_tables.new_tables(len(self._orders), bits, follower_bits(len(ids)))

    def _place(self, token_bytes: list[bytes], children: npt.NDArray[np.int32]) -> None:
        self._tree = token_tree.build(token_bytes, children)

    def _beginning(self, eos_id: int | None) -> npt.NDArray[np.uint64]:
        """Vector of recent text after the token that stands before a stream."""
        recent = np.zeros(recent_text.RECENT, np.uint64)
        if eos_id is not None:
            context_mixing.read(np.array([eos_id], np.int64), recent, self._tree)
        return recent

    def _run(
        self, tables: Tables, ids: npt.NDArray[np.int64], recent: npt.NDArray[np.uint64], seen: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Learns from `ids`, at a rate that falls with the tokens `seen` before."""
        parts = []
        for start in range(0, max(len(ids), 1), CHUNK):
            chunk, rate = ids[start : start + CHUNK], _rate(seen + start)
            parts.append(context_mixing.run(chunk, recent, self._orders, self._tree, tables, True, rate))
        nats, known = zip(*parts, strict=True)
        return np.concatenate(nats), np.concatenate(known)

    def _check(self, ids: npt.NDArray[np.int64]) -> None:
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.vocab_size:
            raise ValueError(f"a token id is outside 0 to {self.vocab_size - 1}")


def _rate(seen: int) -> float:
    """Learning rate of the mixers after so many tokens."""
    return RATE + EXTRA_RATE / (1 + seen / RATE_TOKENS)


def compilations() -> int:
    """How often this process has compiled the code that counts, which is otherwise loaded from the disk."""
    return sum(context_mixing.run.stats.cache_misses.values())
