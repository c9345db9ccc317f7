"""A mixture of models that share a tokenizer.

Two ways to mix, both fitted on held-out text; there the better one is chosen:

- **linear**: the average of the probabilities. Where an n-gram model is among the members, its weights depend on how
  much of the text before a token that model has seen in training, if this pays.
- **logistic**: log-odds are added at every decision of the tree that leads to a token (`tree_mixing`), and a cache over
  the first neural member's hidden vectors (`recollection`) takes part. It needs members that show their distributions:
  neural and n-gram models.

A single neural model can be mixed with its own cache, and is then also calibrated on the held-out text.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import token_tree
from .base import LanguageModel, ModelConfig, NeuralLanguageModel, State
from .evidence import (
    Evidence,
    Mixer,
    fit_mixer,
    learn_mixer,
    linear_gains,
    mixed_nats,
    mixer_gains,
    mixer_pays,
    mixer_shares,
    new_mixer,
)
from .mixing_weights import ADAPTATION, adaptive_nats, fit_gate, fit_weights, mixture_nats
from .mixture_reading import Ground, mix_distributions, read_stream
from .mixture_state import MixtureState
from .ngram import NgramModel
from .recollection import REACH, Recollection, filling_seconds
from .registry import build_model, parse_config
from .side_by_side import beside, side_by_side

Mixing = Literal["linear", "logistic"]
STRETCH = 1_000_000
"""Tokens scored at once; what is known of each takes about half a kilobyte."""
MIXER = ("mixing", "mixing_sets")
"""Tensors of the logistic way."""


class MixtureConfig(ModelConfig):
    """The members of a mixture and their shapes."""

    architecture: Literal["mixture"] = "mixture"
    members: dict[str, dict[str, Any]]
    """Name of each member -> its configuration as JSON."""


class MixtureModel(LanguageModel):
    """Several models as one.

    Attributes:
        members: Name -> model.
        weights: Of the linear way, float64 (buckets, members): one bucket for each number of contexts that the first
            n-gram member knows before a token (see `NgramModel.predict`), or a single one.
        mixing: Weights of the logistic way for frozen members, and for members that learn on, float64
            (2, ROWS, inputs + 1); None while the mixture is linear.
        mixing_sets: Weights of its sets of weights, float64 (2, STANDINGS, SETS).
        held_out: What the members, frozen and learning on, said of the text that the weights were fitted on; None in
            a mixture that was not fitted in this process.
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
        self._open = len(grams) + len(neural) == len(members) and len(grams) < 2 and bool(neural)
        buckets = members[grams[0]].num_contexts + 1 if grams else 1  # type: ignore[operator]
        equal = torch.full((int(buckets), len(members)), 1.0 / len(members), dtype=torch.float64)
        self.register_buffer("weights", equal)
        self.register_buffer("mixing", None)
        self.register_buffer("mixing_sets", None)
        self._plain_tree: token_tree.Tree | None = None
        self.held_out: tuple[Evidence, Evidence] | None = None

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
        return self._ground().inputs

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MixtureState]:
        """See `LanguageModel.forward`."""
        assert state is None or isinstance(state, MixtureState)
        own = state is not None and state.own
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
                recent = recent.extended(hidden.detach(), given[0], given[2], own)
            else:
                logits, after = member(*given)
            states.append(after)
            logs.append(logits.to(ids.device).log_softmax(-1))
        if not self.logistic:
            weights = self.weights.to(ids.device)[known.to(ids.device)].log().float()
            joint = torch.stack(logs, -1) + weights[:, :, None, :]
            return joint.logsumexp(-1), MixtureState(tuple(states), None, own)
        new = lengths if lengths is not None else torch.full((len(ids),), ids.shape[1])
        distributions = torch.stack(logs).detach().float().cpu().numpy()
        mixed = mix_distributions(
            distributions, ids.cpu().numpy(), new.tolist(), recent, known.numpy(), standing, self._ground(),
            self._mixer(False),
        )  # fmt: skip
        return torch.from_numpy(mixed).to(ids.device), MixtureState(tuple(states), recent, own)

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
        wanted = self.logistic if decisions is None else decisions and self._open
        return read_stream(
            self._named(), np.asarray(ids, np.int64), self._ground() if wanted else None,
            context=context, adaptive=adaptive, eos_id=eos_id, neural=neural,
        )  # fmt: skip

    def fit_weights(
        self,
        ids: npt.NDArray[np.integer],
        *,
        context: int | None = None,
        eos_id: int = 0,
        mixing: Mixing | None = None,
    ) -> None:
        """Fits the weights on text that no member was trained on.

        Args:
            ids: Token stream (N,).
            context: Tokens in a window; `context_length` when None.
            eos_id: The token that stands before the stream.
            mixing: The way to mix; what needs fewer nats on parts of the text that were held out of it when None.

        Raises:
            ValueError: When the logistic way is asked for and a member does not show its distribution.
        """
        if mixing == "logistic" and not self._open:
            raise ValueError(
                "the logistic way mixes neural models, at least one, and at most one n-gram model"
            )
        width = context or self.context_length
        frozen = self.evidence(ids, width, False, eos_id, decisions=mixing != "linear")
        self.mixing = self.mixing_sets = None

        def pays() -> bool:
            return mixing == "logistic" or (mixing is None and mixer_pays(frozen, len(self.weights)))

        def learn() -> Evidence:
            return self.evidence(ids, width, True, eos_id, decisions=mixing != "linear", neural=frozen)

        chosen, learned = beside(pays, [learn] if self._gate is not None else [])
        learning = learned[0] if learned else frozen
        if not chosen:
            self.weights.copy_(torch.from_numpy(fit_gate(frozen.nats, frozen.known, len(self.weights))))
        else:
            self.weights.copy_(torch.from_numpy(fit_weights(frozen.nats)))  # not used, but saved
            mixers = side_by_side([partial(fit_mixer, frozen), partial(fit_mixer, learning)])
            place = self.weights.device
            self.mixing = torch.from_numpy(np.stack([mixer.weights for mixer in mixers])).to(place)
            self.mixing_sets = torch.from_numpy(np.stack([mixer.sets for mixer in mixers])).to(place)
        self.held_out = frozen, learning

    def token_nats(
        self, ids: npt.NDArray[np.integer], context: int, adaptive: bool, eos_id: int = 0
    ) -> npt.NDArray[np.float64]:
        """See `LanguageModel.token_nats`. When adaptive, the weights go on adapting as well."""
        return self.score(ids, context, adaptive, eos_id)[0]

    def score(
        self, ids: npt.NDArray[np.integer], context: int, adaptive: bool, eos_id: int = 0
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Scores a stream of any length, in stretches of `STRETCH` tokens so that memory stays bounded.

        Every stretch begins like a stream; what was learned is carried on.

        Args:
            ids: See `evidence`; so are `context`, `adaptive` and `eos_id`.
            context: Tokens in a window.
            adaptive: Whether members and weights learn on.
            eos_id: The token that stands before the stream.

        Returns:
            Nats of every token, float64 (N,), and those under each member, (M, N).
        """
        if not self.logistic or len(ids) <= STRETCH:
            evidence = self.evidence(ids, context, adaptive, eos_id)
            return self.mix(evidence, adaptive), evidence.nats
        learner, mixer = self._learner() if adaptive else self, self._mixer(adaptive)
        mixer = Mixer(mixer.weights.copy(), mixer.sets.copy())
        nats, members = [], []
        for start in range(0, len(ids), STRETCH):
            stretch = ids[start : start + STRETCH]
            evidence = learner.evidence(stretch, context, adaptive, eos_id)
            nats.append(learn_mixer(evidence, mixer) if adaptive else mixed_nats(evidence, mixer, False))
            members.append(evidence.nats)
            for member in learner.members.values():
                if adaptive and isinstance(member, NgramModel):
                    member.learn(stretch, eos_id)
        return np.concatenate(nats), np.concatenate(members, 1)

    def _learner(self) -> MixtureModel:
        """A copy whose n-gram members may learn without changing this one."""
        shared = copy.copy(self)
        members = {
            name: member.adaptive_copy() if isinstance(member, NgramModel) else member
            for name, member in self._named()
        }
        shared._modules = {**self._modules, "members": nn.ModuleDict(members)}
        return shared

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
        return mixer_shares(evidence, self._mixer(False))

    def gains(self, scored: Evidence, adaptive: bool) -> dict[str, float]:
        """Nats that each member (and the cache) saves on a stream: those without it, less those with all.

        The weights are fitted anew without it, on the text that they were fitted on.

        Args:
            scored: What the members say of the stream, from `evidence`.
            adaptive: Whether they learned on.

        Returns:
            Name -> nats; empty when there is nothing to leave out or the weights were not fitted in this process.
        """
        if self.held_out is None or (len(self.members) < 2 and not self.logistic):
            return {}
        if self.logistic:
            return mixer_gains(self.held_out[int(adaptive)], scored, adaptive)
        return linear_gains(self.held_out[0], scored, len(self.weights), adaptive)

    @property
    def cached(self) -> int:
        """Tokens that a cache over hidden vectors looks back at; 0 without one."""
        return REACH if self.logistic and self._recalled else 0

    def filling_seconds(self, tokens: int) -> float:
        """Seconds that a token of a long stream takes longer than one of a stream of `tokens`; 0 without a cache."""
        if self._recalled is None:
            return 0.0
        member = self.members[self._recalled]
        assert isinstance(member, NeuralLanguageModel)
        return filling_seconds(member.output_weight.shape[1], self._tree(), member.device, tokens)

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

    def _ground(self) -> Ground:
        return Ground(self._tree(), tuple(self.members), self._gate, self._recalled)

    def _mixer(self, learning: bool) -> Mixer:
        assert self.mixing is not None and self.mixing_sets is not None
        which = int(learning)
        return Mixer(self.mixing[which].cpu().numpy(), self.mixing_sets[which].cpu().numpy())

    def _named(self) -> list[tuple[str, LanguageModel]]:
        return [(name, member) for name, member in self.members.items() if isinstance(member, LanguageModel)]

    def _models(self) -> list[LanguageModel]:
        return [member for _, member in self._named()]
