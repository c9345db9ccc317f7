"""A mixture: the average of the probabilities of models that share a tokenizer.

Its weights are fitted on held-out text. Where an n-gram model is among the members, they depend on how much of the
text before a token that model has seen in training, if this pays.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .base import LanguageModel, ModelConfig, State
from .likelihood import score_stream
from .mixing_weights import ADAPTATION, adaptive_nats, fit_gate, mixture_nats
from .ngram import NgramModel
from .registry import build_model, parse_config


class MixtureConfig(ModelConfig):
    """The members of a mixture and their shapes."""

    architecture: Literal["mixture"] = "mixture"
    members: dict[str, dict[str, Any]]
    """Name of each member -> its configuration as JSON."""


class MixtureState(State):
    """One state for each member."""

    def __init__(self, states: tuple[State, ...]) -> None:
        self.states = states
        self.lengths = states[0].lengths

    def select(self, rows: Tensor) -> MixtureState:
        """See `State.select`."""
        return MixtureState(tuple(state.select(rows.to(state.lengths.device)) for state in self.states))

    def truncate(self, lengths: Tensor) -> MixtureState:
        """See `State.truncate`."""
        return MixtureState(tuple(state.truncate(lengths.to(state.lengths.device)) for state in self.states))


class MixtureModel(LanguageModel):
    """Average of the members' probabilities, weighted by bucket of context.

    Attributes:
        members: Name -> model.
        weights: float64 (buckets, members): one bucket for each number of contexts that the first n-gram member
            knows before a token (see `NgramModel.predict`), or a single one.
    """

    architecture = "mixture"
    trainable = False
    config: MixtureConfig
    weights: Tensor

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
        self._gate = grams[0] if grams else None
        buckets = members[grams[0]].num_contexts + 1 if grams else 1  # type: ignore[operator]
        equal = torch.full((int(buckets), len(members)), 1.0 / len(members), dtype=torch.float64)
        self.register_buffer("weights", equal)

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

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MixtureState]:
        """See `LanguageModel.forward`."""
        assert state is None or isinstance(state, MixtureState)
        states: list[State] = []
        logs = []
        buckets = torch.zeros(ids.shape, dtype=torch.int64, device=ids.device)
        for index, (name, member) in enumerate(self._named()):
            before = None if state is None else state.states[index]
            place = member.device
            given = (ids.to(place), before, None if lengths is None else lengths.to(place))
            if name == self._gate:
                assert isinstance(member, NgramModel)
                logits, after, known = member.predict(*given)
                buckets = known.to(ids.device)
            else:
                logits, after = member(*given)
            states.append(after)
            logs.append(logits.to(ids.device).log_softmax(-1))
        weights = self.weights.to(ids.device)[buckets].log().float()
        joint = torch.stack(logs, -1) + weights[:, :, None, :]
        return joint.logsumexp(-1), MixtureState(tuple(states))

    def member_nats(
        self, ids: npt.NDArray[np.integer], context: int, adaptive: bool, eos_id: int = 0
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Scores a token stream with every member.

        Args:
            ids: The stream (N,), without the eos that begins it.
            context: Tokens in a window; see `likelihood.score_stream`.
            adaptive: Let members that can do so learn from each token after predicting it.
            eos_id: The token that stands before the stream.

        Returns:
            Nats of every token under each member, float64 (M, N), and the bucket of every token, int64 (N,).
        """
        nats = []
        buckets = np.zeros(len(ids), np.int64)
        for name, member in self._named():
            if name == self._gate:
                assert isinstance(member, NgramModel)
                scored, buckets = member.scan(ids, adaptive, eos_id)
            else:
                scored = score_stream(member, ids, eos_id=eos_id, context=context, adaptive=adaptive)
            nats.append(scored)
        return np.stack(nats), buckets

    def fit_weights(
        self,
        ids: npt.NDArray[np.integer],
        *,
        context: int | None = None,
        adaptive: bool = False,
        eos_id: int = 0,
    ) -> npt.NDArray[np.float64]:
        """Fits the weights on text that no member was trained on.

        Args:
            ids: Token stream (N,).
            context: Tokens in a window; `context_length` when None.
            adaptive: Fit for adaptive scoring.
            eos_id: The token that stands before the stream.

        Returns:
            Nats of every token under each member (M, N), for reports.
        """
        nats, buckets = self.member_nats(ids, context or self.context_length, adaptive, eos_id)
        self.weights.copy_(torch.from_numpy(fit_gate(nats, buckets, len(self.weights))))
        return nats

    def token_nats(
        self, ids: npt.NDArray[np.integer], context: int, adaptive: bool, eos_id: int = 0
    ) -> npt.NDArray[np.float64]:
        """See `LanguageModel.token_nats`. When adaptive, the weights go on adapting as well."""
        return self.mix(*self.member_nats(ids, context, adaptive, eos_id), adaptive)

    def mix(
        self, nats: npt.NDArray[np.float64], buckets: npt.NDArray[np.int64], adaptive: bool
    ) -> npt.NDArray[np.float64]:
        """Returns the mixture's nats of every token (N,) from what `member_nats` returned."""
        weights = self.weights.cpu().numpy()
        if adaptive:
            adapted: npt.NDArray[np.float64] = adaptive_nats(nats, buckets, weights, ADAPTATION)
            return adapted
        return mixture_nats(nats, weights[buckets].T)

    def num_parameters(self) -> int:
        """Sum over the members."""
        return sum(member.num_parameters() for member in self._models())

    def saved_tensors(self) -> dict[str, Tensor]:
        """See `LanguageModel.saved_tensors`: the weights; members are saved as models of their own."""
        return {"weights": self.weights.detach()}

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
        if set(tensors) != {"weights"} or tensors["weights"].shape != model.weights.shape:
            raise ValueError("tensor weights is missing or has another shape, or another tensor is there")
        model.weights.copy_(tensors["weights"])
        return model

    def _named(self) -> list[tuple[str, LanguageModel]]:
        return [(name, member) for name, member in self.members.items() if isinstance(member, LanguageModel)]

    def _models(self) -> list[LanguageModel]:
        return [member for _, member in self._named()]
