"""A mixture of models that share a tokenizer.

Two ways to mix, both fitted on held-out text; there the better one is chosen:

- **linear**: the average of the probabilities. Where an n-gram model is among the members, its weights depend on how much
  of the text before a token that model has seen in training, if this pays.
- **logistic**: log-odds are added at every decision of the tree that leads to a token (`tree_mixing`), and a cache over
  the first neural member's hidden vectors (`recollection`) takes part. It needs members that show their distributions:
  neural and n-gram models.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import token_tree, tree_mixing
from .base import LanguageModel, ModelConfig, NeuralLanguageModel, State
from .evidence import CACHE, Evidence, Mixer, fit_mixer, mixed_nats, mixer_pays, new_mixer
from .likelihood import score_stream
from .mixing_weights import ADAPTATION, adaptive_nats, fit_gate, mixture_nats
from .ngram import NgramModel
from .recollection import REACH, SHARPNESSES, Recollection, likeness, stream_odds
from .registry import build_model, parse_config

Mixing = Literal["linear", "logistic"]
MIXER = ("mixing", "mixing_sets")
"""Tensors of the logistic way."""


class MixtureConfig(ModelConfig):
    """The members of a mixture and their shapes."""

    architecture: Literal["mixture"] = "mixture"
    members: dict[str, dict[str, Any]]
    """Name of each member -> its configuration as JSON."""


class MixtureState(State):
    """One state for each member, and the text that the cache looks back at."""

    def __init__(self, states: tuple[State, ...], recent: Recollection | None = None) -> None:
        self.states = states
        self.recent = recent
        self.lengths = states[0].lengths

    def select(self, rows: Tensor) -> MixtureState:
        """See `State.select`."""
        return MixtureState(
            tuple(state.select(rows.to(state.lengths.device)) for state in self.states),
            None if self.recent is None else self.recent.select(rows.to(self.recent.lengths.device)),
        )

    def truncate(self, lengths: Tensor) -> MixtureState:
        """See `State.truncate`."""
        return MixtureState(
            tuple(state.truncate(lengths.to(state.lengths.device)) for state in self.states),
            None if self.recent is None else self.recent.truncate(lengths.to(self.recent.lengths.device)),
        )


class MixtureModel(LanguageModel):
    """Several models as one.

    Attributes:
        members: Name -> model.
        weights: Of the linear way, float64 (buckets, members): one bucket for each number of contexts that the first
            n-gram member knows before a token (see `NgramModel.predict`), or a single one.
        mixing: Weights of the logistic way for frozen members, and for members that learn on, float64
            (2, ROWS, inputs + 1); None while the mixture is linear.
        mixing_sets: Weights of its sets of weights, float64 (2, STANDINGS, SETS).
    """

    architecture = "mixture"
    trainable = False
    config: MixtureConfig
    weights: Tensor
    mixing: Tensor | None
    mixing_sets: Tensor | None

    def __init__(self, config: MixtureConfig, members: dict[str, LanguageModel] | None = None) -> None:
        super().__init__()
        if members is None:
            members = {name: build_model(parse_config(shape)) for name, shape in config.members.items()}
        if not members or list(members) != list(config.members):
            raise ValueError(f"the members must be {list(config.members)}, in this order, and at least one")
        for name, member in members.items():
            if member.vocab_size != config.vocab_size:
                raise ValueError(f"{name} has {member.vocab_size} tokens, the mixture {config.vocab_size}")
        self.config = config
        self.members = nn.ModuleDict(members)
        grams = [name for name, member in members.items() if isinstance(member, NgramModel)]
        neural = [name for name, member in members.items() if isinstance(member, NeuralLanguageModel)]
        self._gate = grams[0] if grams else None
        self._recalled = neural[0] if neural else None
        self._open = len(grams) + len(neural) == len(members) > 1 and len(grams) < 2
        buckets = members[grams[0]].num_contexts + 1 if grams else 1  # type: ignore[operator]
        equal = torch.full((int(buckets), len(members)), 1.0 / len(members), dtype=torch.float64)
        self.register_buffer("weights", equal)
        self.register_buffer("mixing", None)
        self.register_buffer("mixing_sets", None)
        self._plain_tree: token_tree.Tree | None = None

    @classmethod
    def of(cls, members: dict[str, LanguageModel]) -> Self:
        """Returns the mixture of models, with equal weights.

        Args:
            members: Name -> model; all with the same vocabulary. Its context is the longest of theirs.

        Raises:
            ValueError: When there are no members, or their numbers of tokens differ.
        """
        if not members:
            raise ValueError("a mixture needs at least one member")
        shapes = {name: member.config.model_dump(mode="json") for name, member in members.items()}
        config = MixtureConfig(
            vocab_size=next(iter(members.values())).vocab_size,
            context_length=max(member.context_length for member in members.values()),
            members=shapes,
        )
        return cls(config, members)

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where logits are returned."""
        return self.weights.device

    def initial_state(self, batch: int) -> MixtureState:
        """See `LanguageModel.initial_state`."""
        return MixtureState(tuple(member.initial_state(batch) for member in self._models()))

    @property
    def logistic(self) -> bool:
        """Whether the members are mixed in the logistic way."""
        return self.mixing is not None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Who gives the log-odds of the logistic way: the members, then the cache."""
        caches = (CACHE,) * len(SHARPNESSES) if self._recalled else ()
        return (*self.members, *caches)

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MixtureState]:
        """See `LanguageModel.forward`."""
        assert state is None or isinstance(state, MixtureState)
        states: list[State] = []
        logs = []
        known = torch.zeros(ids.shape, dtype=torch.int64)
        nodes = self.vocab_size - 1 if self.logistic else 0
        standing = np.zeros((*ids.shape, nodes), np.int16)
        recent: Recollection | None = None
        for index, (name, member) in enumerate(self._named()):
            before = None if state is None else state.states[index]
            place = member.device
            given = (ids.to(place), before, None if lengths is None else lengths.to(place))
            if name == self._gate and self.logistic:
                assert isinstance(member, NgramModel)
                logits, after, known, standing = member.predict_decisions(*given)
            elif name == self._gate:
                assert isinstance(member, NgramModel)
                logits, after, known = member.predict(*given)
            elif name == self._recalled and self.logistic:
                logits, after, hidden = member.read(*given)  # type: ignore[operator]
                recent = None if state is None else state.recent
                if recent is None:
                    recent = Recollection.empty(len(ids), hidden.shape[-1], place)
                recent = recent.extended(hidden, given[0], given[2])
            else:
                logits, after = member(*given)
            states.append(after)
            logs.append(logits.to(ids.device).log_softmax(-1))
        if not self.logistic:
            weights = self.weights.to(ids.device)[known.to(ids.device)].log().float()
            joint = torch.stack(logs, -1) + weights[:, :, None, :]
            return joint.logsumexp(-1), MixtureState(tuple(states))
        new = lengths if lengths is not None else torch.full((len(ids),), ids.shape[1])
        mixed = self._mix_positions(torch.stack(logs), ids, new, recent, known, standing)
        return mixed.to(ids.device), MixtureState(tuple(states), recent)

    def _mix_positions(
        self,
        logs: Tensor,
        ids: Tensor,
        new: Tensor,
        recent: Recollection | None,
        known: Tensor,
        standing: npt.NDArray[np.int16],
    ) -> Tensor:
        """Log-probabilities (B, T, V) of the logistic way from those of the members (M, B, T, V)."""
        tree, mixer, last = self._tree(), self._mixer(False), self._last_bytes()
        read = logs.float().cpu().numpy()
        out = np.zeros(read.shape[1:], np.float32)
        first_neural = list(self.members).index(self._recalled) if self._recalled else -1
        for row, count in enumerate(new.tolist()):
            kernel, followers, first = np.zeros((0, count, 0), np.float32), np.zeros(0, np.int64), 0
            if recent is not None:
                end = int(recent.lengths[row])
                low = max(0, end - count - REACH)
                vectors = recent.vectors[row, low:end]
                first = end - count - low
                kernel = likeness(vectors[first:], vectors).cpu().numpy()
                followers = np.append(recent.tokens[row, low + 1 : end].cpu().numpy(), 0)
            tree_mixing.mix_positions(
                np.ascontiguousarray(read[:, row, :count]), first_neural, kernel, followers, first, REACH,
                last[ids[row, :count].cpu().numpy()], known[row, :count].numpy(), standing[row, :count],
                tree.children, tree.depth, *mixer, out[row],
            )  # fmt: skip
        return torch.from_numpy(out)

    def evidence(
        self,
        ids: npt.NDArray[np.integer],
        context: int,
        adaptive: bool,
        eos_id: int = 0,
        *,
        decisions: bool | None = None,
        neural: Evidence | None = None,
    ) -> Evidence:
        """Reads a token stream with every member.

        Args:
            ids: The stream (N,), without the eos that begins it.
            context: Tokens in a window; see `likelihood.score_stream`.
            adaptive: Let members that can do so learn from each token after predicting it.
            eos_id: The token that stands before the stream.
            decisions: Whether what the logistic way needs is wanted; when the mixture is logistic if None.
            neural: What was found on the same stream before, from which all but the n-gram members' part is taken.

        Returns:
            What the members say, for `mix`.
        """
        tokens = np.asarray(ids, np.int64)
        wanted = self.logistic if decisions is None else decisions and self._open
        tree = self._tree()
        lengths = np.diff(tree.path_offsets)[tokens] if wanted else np.zeros(0, np.int64)
        count = int(lengths.sum())
        nats = np.zeros((len(self.members), len(tokens)))
        known, standing = np.zeros(len(tokens), np.int64), np.zeros(count, np.int16)
        odds = np.zeros((count, len(self.inputs) if wanted else 0), np.float32)
        bands, support = np.zeros(len(tokens), np.int8), np.zeros(count)
        if neural is not None and wanted:
            assert neural.odds is not None and neural.bands is not None and neural.support is not None
            odds, bands, support = neural.odds.copy(), neural.bands, neural.support
        for index, (name, member) in enumerate(self._named()):
            if isinstance(member, NgramModel):
                if not wanted:
                    nats[index], its_known = member.scan(tokens, adaptive, eos_id)
                else:
                    nats[index], its_known, ones, its_standing = member.scan_decisions(tokens, adaptive, eos_id)
                    odds[:, index] = np.clip(np.log(ones) - np.log1p(-ones), -tree_mixing.CLAMP, tree_mixing.CLAMP)
                    standing = its_standing if name == self._gate else standing
                known = its_known if name == self._gate else known
            elif neural is not None:
                nats[index] = neural.nats[index]
            elif wanted:
                reader = _Paths(tokens, tree, count, keep_hidden=name == self._recalled)
                nats[index] = score_stream(member, tokens, eos_id=eos_id, context=context, observe=reader)
                odds[:, index] = reader.odds
                if name == self._recalled:
                    bands = reader.bands
                    odds[:, len(self.members) :], support = stream_odds(torch.cat(reader.hidden), tokens, tree)
            else:
                nats[index] = score_stream(member, tokens, eos_id=eos_id, context=context, adaptive=adaptive)
        if not wanted:
            return Evidence(nats, known)
        last = self._last_bytes()[np.append(eos_id, tokens[:-1])]
        rows, bits = tree_mixing.path_rows(
            tokens, last, bands, known, standing, support, tree.depth, tree.path, tree.path_offsets
        )
        selectors = ((self._gate or "", (0, 2)), (self._recalled or "", (2,)), (CACHE, (4,)))
        return Evidence(
            nats, known, self.inputs, odds, bits, rows, lengths, selectors, self._recalled or "", bands, support
        )

    def fit_weights(
        self,
        ids: npt.NDArray[np.integer],
        *,
        context: int | None = None,
        eos_id: int = 0,
        mixing: Mixing | None = None,
    ) -> tuple[Evidence, Evidence]:
        """Fits the weights on text that no member was trained on.

        Args:
            ids: Token stream (N,).
            context: Tokens in a window; `context_length` when None.
            eos_id: The token that stands before the stream.
            mixing: The way to mix; what needs fewer nats on parts of the text that were held out of it when None.

        Returns:
            What frozen members said of the text, and members that learned on: for reports.

        Raises:
            ValueError: When the logistic way is asked for and a member does not show its distribution.
        """
        if mixing == "logistic" and not self._open:
            raise ValueError(
                "the logistic way mixes two or more models, neural ones and at most one n-gram model"
            )
        width = context or self.context_length
        frozen = self.evidence(ids, width, False, eos_id, decisions=mixing != "linear")
        self.weights.copy_(torch.from_numpy(fit_gate(frozen.nats, frozen.known, len(self.weights))))
        self.mixing = self.mixing_sets = None
        chosen = mixing == "logistic" or (mixing is None and mixer_pays(frozen, len(self.weights)))
        learning = frozen
        if self._gate is not None:
            learning = self.evidence(ids, width, True, eos_id, decisions=chosen, neural=frozen)
        if chosen:
            mixers = [fit_mixer(frozen), fit_mixer(learning)]
            place = self.weights.device
            self.mixing = torch.from_numpy(np.stack([mixer.weights for mixer in mixers])).to(place)
            self.mixing_sets = torch.from_numpy(np.stack([mixer.sets for mixer in mixers])).to(place)
        return frozen, learning

    def token_nats(
        self, ids: npt.NDArray[np.integer], context: int, adaptive: bool, eos_id: int = 0
    ) -> npt.NDArray[np.float64]:
        """See `LanguageModel.token_nats`. When adaptive, the weights go on adapting as well."""
        return self.mix(self.evidence(ids, context, adaptive, eos_id), adaptive)

    def mix(self, evidence: Evidence, adaptive: bool) -> npt.NDArray[np.float64]:
        """Returns the mixture's nats of every token (N,) from what its members say.

        Args:
            evidence: From `evidence`.
            adaptive: Whether the members learned on while they read; the weights do then as well.
        """
        if not self.logistic:
            return self.mix_linear(evidence.nats, evidence.known, adaptive)
        return mixed_nats(evidence, self._mixer(adaptive), adaptive)

    def mix_linear(
        self, nats: npt.NDArray[np.float64], buckets: npt.NDArray[np.int64], adaptive: bool
    ) -> npt.NDArray[np.float64]:
        """Returns the nats of every token (N,) under the average of the members' probabilities.

        Args:
            nats: Nats under each member (M, N).
            buckets: Bucket of every token (N,).
            adaptive: Let the weights follow the members.
        """
        weights = self.weights.cpu().numpy()
        if adaptive:
            adapted: npt.NDArray[np.float64] = adaptive_nats(nats, buckets, weights, ADAPTATION)
            return adapted
        return mixture_nats(nats, weights[buckets].T)

    def shares(self, evidence: Evidence) -> dict[str, float]:
        """Mean weight of each member (and of the cache) over a stream, as it is when all are frozen."""
        if not self.logistic or evidence.rows is None:
            weights = self.weights.cpu().numpy()[evidence.known].mean(0)
            return {name: float(share) for name, share in zip(self.members, weights, strict=True)}
        mixer = self._mixer(False)
        sets = mixer.sets[evidence.rows[:, 0] // tree_mixing.DEPTHS]
        mean = sum((sets[:, k, None] * mixer.weights[evidence.rows[:, k]]).mean(0) for k in range(sets.shape[1]))
        shares: dict[str, float] = {}
        for name, share in zip(self.inputs, np.asarray(mean), strict=False):
            shares[name] = shares.get(name, 0.0) + float(share)
        return shares

    def num_parameters(self) -> int:
        """Sum over the members."""
        return sum(member.num_parameters() for member in self._models())

    def saved_tensors(self) -> dict[str, Tensor]:
        """See `LanguageModel.saved_tensors`: the weights; members are saved as models of their own."""
        tensors = {"weights": self.weights, "mixing": self.mixing, "mixing_sets": self.mixing_sets}
        return {name: tensor.detach() for name, tensor in tensors.items() if tensor is not None}

    def saved_members(self) -> dict[str, LanguageModel]:
        """See `LanguageModel.saved_members`."""
        return dict(self._named())

    @classmethod
    def restore(
        cls, config: ModelConfig, tensors: dict[str, Tensor], members: dict[str, LanguageModel]
    ) -> Self:
        """See `LanguageModel.restore`."""
        assert isinstance(config, MixtureConfig)
        if set(members) != set(config.members):
            raise ValueError(f"the mixture's members are {list(config.members)}, not {list(members)}")
        model = cls(config, {name: members[name] for name in config.members})
        wanted = {"weights": model.weights.shape}
        if len(tensors) > 1:
            blank = new_mixer(model.inputs)
            wanted |= {name: torch.Size((2, *part.shape)) for name, part in zip(MIXER, blank, strict=True)}
        found = {name: tensor.shape for name, tensor in tensors.items()}
        if found != wanted:
            raise ValueError(
                "tensor weights, mixing or mixing_sets is missing or has another shape, or another tensor is there; "
                "a mixture written by another version must be trained again"
            )
        for name, tensor in tensors.items():
            model.register_buffer(name, tensor.to(torch.float64).clone())
        return model

    def _tree(self) -> token_tree.Tree:
        """The tree of the first n-gram member, or else a plain one."""
        if self._gate is not None:
            return self.members[self._gate].tree  # type: ignore[return-value]
        if self._plain_tree is None:
            self._plain_tree = token_tree.plain(self.vocab_size)
        return self._plain_tree

    def _last_bytes(self) -> npt.NDArray[np.int64]:
        """The last byte of each token (V,), 0 for none."""
        tree = self._tree()
        ends = tree.byte_offsets[1:]
        some = ends > tree.byte_offsets[:-1]
        last = np.zeros(len(ends), np.int64)
        last[some] = tree.bytes[ends[some] - 1]
        return last

    def _mixer(self, learning: bool) -> Mixer:
        assert self.mixing is not None and self.mixing_sets is not None
        which = int(learning)
        return Mixer(self.mixing[which].cpu().numpy(), self.mixing_sets[which].cpu().numpy())

    def _named(self) -> list[tuple[str, LanguageModel]]:
        return [(name, member) for name, member in self.members.items() if isinstance(member, LanguageModel)]

    def _models(self) -> list[LanguageModel]:
        return [member for _, member in self._named()]


class _Paths:
    """Turns the logits of a stream into log-odds on the paths of its tokens; an observer of `score_stream`."""

    def __init__(
        self, ids: npt.NDArray[np.int64], tree: token_tree.Tree, count: int, keep_hidden: bool
    ) -> None:
        self.odds = np.zeros(count, np.float32)
        self.bands = np.zeros(len(ids), np.int8)
        self.hidden: list[Tensor] = []
        self._ids, self._tree, self._keep = ids, tree, keep_hidden
        self._token = self._place = 0

    def __call__(self, hidden: Tensor, logits: Tensor) -> None:
        """See `likelihood.Observer`."""
        logs = logits.log_softmax(-1).cpu().numpy()
        tokens = slice(self._token, self._token + len(logs))
        tree = self._tree
        self._place = tree_mixing.path_odds(
            logs, self._ids[tokens], tree.children, tree.path, tree.path_offsets, self._place, self.odds,
            self.bands[tokens],
        )  # fmt: skip
        self._token += len(logs)
        if self._keep:
            self.hidden.append(hidden)
