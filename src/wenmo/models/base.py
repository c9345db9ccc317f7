"""The contract that every model family fulfils.

Generation, mixtures, evaluation and explanation know only what stands here. A recurrent hidden state, a
key-value cache and the recent text of an n-gram model are all a `State`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class ModelConfig(BaseModel):
    """Shape of a model: all that is needed to build it with random weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    vocab_size: int
    """Number of tokens V."""
    context_length: int
    """Tokens of context the model is trained with; evaluation windows have this length."""


class State(ABC):
    """What a model remembers of the tokens read so far, for a batch of rows; opaque to callers.

    A state is never changed in place by `forward`, `select` or `truncate` in a way that alters what an older
    state object means, except that a key-value cache may share storage with the states made from it.
    """

    lengths: Tensor
    """Tokens read by each row, int64 (B,)."""

    @abstractmethod
    def select(self, rows: Tensor) -> State:
        """Returns the state of the given rows (int64 (N,), repeats allowed), for beam search and sampling."""

    @abstractmethod
    def truncate(self, lengths: Tensor) -> State:
        """Returns the state as it was when row b had read only lengths[b] tokens (int64 (B,)).

        Raises:
            ValueError: When a length exceeds what the row has read.
        """

    def writing(self, own: bool) -> State:
        """Returns the state for text that the model writes itself, or for text that it is given again.

        What learns from the text while reading it, such as a cache, must not learn from its own: a phrase written once
        becomes likelier, is written again, and so on without end. A state that is context alone returns itself.

        Args:
            own: Whether what is read from here on was written by the model.
        """
        return self


class LanguageModel(nn.Module, ABC):
    """A distribution over the next token given the tokens before it.

    Attributes:
        architecture: Name in the registry.
        trainable: False when the model is fitted by counting instead of gradients.
        config: Shape of the model.
    """

    architecture: ClassVar[str]
    trainable: ClassVar[bool] = True
    config: ModelConfig

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """Returns the state of `batch` rows that have read nothing."""

    @abstractmethod
    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Predicts the token after each given one.

        Args:
            ids: Token ids, int64 (B, T), right-padded where `lengths` is given.
            state: What was read before; None is the beginning.
            lengths: Valid tokens of each row in this call, int64 (B,), 0 <= lengths[b] <= T; None means T.
                Padding never influences the logits of valid positions nor the returned state.

        Returns:
            Logits float32 (B, T, V), where [:, t] predicts token t + 1 (those at padding are undefined), and the
            new state. log_softmax of the logits is the model's distribution.
        """

    def token_nats(
        self, ids: npt.NDArray[np.integer], context: int, adaptive: bool, eos_id: int = 0
    ) -> npt.NDArray[np.float64] | None:
        """Scores a token stream in a way of the family's own; called by `likelihood.score_stream` only.

        Args:
            ids: The stream (N,), N >= 1, without the eos that begins it: ids[0] is predicted from [eos_id] alone.
            context: Each token is predicted from the current window only: the first window begins at [eos_id]; see
                `likelihood.windows`. A model that remembers fewer tokens may ignore it.
            adaptive: Also learn from each token after predicting it ("prequential"); False leaves the model frozen.
            eos_id: The token that stands before the stream.

        Returns:
            Nats of every token, float64 (N,); None when the family has no way of its own and is to be scored by
            windows through `forward`. Adaptive scoring must leave the model as it was.
        """
        return None

    @property
    def vocab_size(self) -> int:
        """Number of tokens V."""
        return self.config.vocab_size

    @property
    def context_length(self) -> int:
        """Tokens of context the model is trained and scored with."""
        return self.config.context_length

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(iter([*self.parameters(), *self.buffers()])).device

    def num_parameters(self) -> int:
        """Number of distinct trainable numbers (tied ones counted once)."""
        return sum(p.numel() for p in self.parameters())

    # How a model is saved (`storage.py`): config.json holds `config_json()`, model.safetensors holds
    # `saved_tensors()`, members/NAME/ hold `saved_members()`; `restore` gets the last two back. The defaults
    # suit a model without members whose `state_dict` says everything.

    def config_json(self) -> dict[str, Any]:
        """Returns the content of config.json, for other programs; wenmo itself reads wenmo.json."""
        return {"model_type": f"wenmo-{self.architecture}", **self.config.model_dump(mode="json")}

    def saved_tensors(self) -> dict[str, Tensor]:
        """Returns the tensors to save, by name, each of them once (a tied output layer is left out)."""
        distinct: dict[str, Tensor] = {}
        seen: set[int] = set()
        for name, tensor in self.state_dict(keep_vars=True).items():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                distinct[name] = tensor.detach()
        return distinct

    def saved_members(self) -> dict[str, LanguageModel]:
        """Returns the models inside this one that are saved as models of their own, by folder name."""
        return {}

    @classmethod
    def restore(
        cls, config: ModelConfig, tensors: dict[str, Tensor], members: dict[str, LanguageModel]
    ) -> Self:
        """Builds the model whose `config`, `saved_tensors()` and `saved_members()` are given.

        Raises:
            ValueError: When a tensor is missing, unknown or of another shape.
        """
        model = cls(config)
        model._load(tensors)
        return model

    def _load(self, tensors: dict[str, Tensor]) -> None:
        """Copies tensors, named as in `state_dict` (each once), into this model; raises as `restore` does."""
        copy_tensors(LanguageModel.saved_tensors(self), tensors)


def copy_tensors(own: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    """Copies saved tensors into those of a model, by name.

    Args:
        own: The model's tensors, each once.
        tensors: The saved ones.

    Raises:
        ValueError: When a tensor is missing, unknown or of another shape.
    """
    names = set(own) ^ set(tensors)
    if names:
        raise ValueError(f"tensor {min(names)} is {'unknown' if min(names) in tensors else 'missing'}")
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != tensors[name].shape:
                found, wanted = tuple(tensors[name].shape), tuple(tensor.shape)
                raise ValueError(f"tensor {name} has shape {found} instead of {wanted}")
            tensor.copy_(tensors[name])


class NeuralLanguageModel(LanguageModel):
    """A model trained by gradients: a hidden vector per position, and a linear output layer on it.

    `forward` is `hidden` followed by the product with `output_weight`; training uses the two apart, so that
    logits of a whole batch never exist at once.

    Attributes:
        compilable: Whether torch.compile gains anything on its layers.
        embedding: Vectors of the input tokens (V, E).
    """

    compilable: ClassVar[bool] = False
    embedding: nn.Embedding

    @abstractmethod
    def hidden(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None, need_state: bool = True
    ) -> tuple[Tensor, State | None]:
        """Returns the last hidden vectors (B, T, D), in the compute dtype, and the new state if needed."""

    @property
    @abstractmethod
    def output_weight(self) -> Tensor:
        """Output matrix (V, D); the embedding itself when tied. The output layer has no bias."""

    @abstractmethod
    def matrices(self) -> list[nn.Parameter]:
        """2-D hidden weights that Muon may optimise (no embeddings, no output layer, no vectors)."""

    def vocabulary_tables(self) -> list[Tensor]:
        """Returns the tensors that have one row for each token of the vocabulary, each once."""
        tables = [self.embedding.weight, self.output_weight]
        return tables[:1] if tables[0] is tables[1] else tables

    def lookup_tables(self) -> list[Tensor]:
        """Returns the parameters whose rows are looked up by number, each once: one row learns from few tokens."""
        return self.vocabulary_tables()

    @abstractmethod
    def flops_per_token(self, context: int) -> float:
        """Returns the operations of one forward pass per token at the given context (matrix products only)."""

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """See `LanguageModel.forward`."""
        logits, new_state, _ = self.read(ids, state, lengths)
        return logits, new_state

    def read(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor]:
        """Does as `forward`, and returns the last hidden vectors (B, T, D) as well."""
        hidden, new_state = self.hidden(ids, state, lengths, need_state=True)
        assert new_state is not None
        return (hidden @ self.output_weight.T).float(), new_state, hidden
