"""Recurrent language models: Elman network, LSTM and GRU.

Elman (1990), Finding structure in time; Hochreiter & Schmidhuber (1997), Long short-term memory; Cho et al.
(2014), Learning phrase representations using RNN encoder-decoder. The layers run in PyTorch's fused kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .base import ModelConfig, NeuralLanguageModel, State
from .recurrent_state import RecurrentState

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""Blocks of `hidden_size` rows in a layer's weights, in PyTorch's order: LSTM i, f, g, o; GRU r, z, n."""


class RecurrentConfig(ModelConfig):
    """Shape of a recurrent model.

    With `tied` and different sizes, a projection (without bias) leads from the hidden state to the embedding
    size; untied, the output layer reads the hidden state itself.
    """

    architecture: Literal["rnn", "lstm", "gru"]
    """Cell."""
    embedding_size: int = Field(ge=1)
    """Size E of the token embedding."""
    hidden_size: int = Field(ge=1)
    """Size H of the hidden state of every layer."""
    layers: int = Field(ge=1)
    """Number of layers."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Locked dropout on embeddings, between layers and on the output: one mask for all time steps."""
    recurrent_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the hidden-to-hidden weights dropped in each forward pass of training."""
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Nonlinearity of the Elman network; the gates of the others have their own."""
    tied: bool = True
    """Share the embedding with the output layer."""

    @property
    def projected(self) -> bool:
        """Whether a projection stands between the last layer and the tied output layer."""
        return self.tied and self.embedding_size != self.hidden_size


def count_parameters(config: RecurrentConfig) -> int:
    """Returns the number of parameters that `RecurrentModel(config)` has, without building it."""
    size, gates = config.hidden_size, GATES[config.architecture]
    total = config.vocab_size * config.embedding_size
    for layer in range(config.layers):
        inputs = size if layer else config.embedding_size
        total += gates * size * (inputs + size + 2)
    if config.projected:
        total += config.embedding_size * size
    if not config.tied:
        total += config.vocab_size * size
    return total


class RecurrentLayer(nn.Module):
    """One layer over time, time-first, in PyTorch's fused kernel (oneDNN for an LSTM on CPU, cuDNN on CUDA).

    Time-first, layer by layer and without a copy of the weights is the fastest way through oneDNN (see
    `bench/lstm.py`). The parameters have the names, shapes and gate order of `torch.nn.LSTM`.

    Args:
        config: Shape of the model.
        inputs: Size of the input vectors.
    """

    def __init__(self, config: RecurrentConfig, inputs: int) -> None:
        super().__init__()
        rows = GATES[config.architecture] * config.hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, inputs))
        self.weight_hh = nn.Parameter(torch.empty(rows, config.hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        self.recurrent_dropout = config.recurrent_dropout
        self.lstm = config.architecture == "lstm"
        kind = f"rnn_{config.nonlinearity}" if config.architecture == "rnn" else config.architecture
        self.kernel: Callable[..., tuple[Tensor, ...]] = getattr(torch, kind)
        self.cell: Callable[..., Any] = getattr(torch, f"{kind}_cell")

    def forward(
        self, inputs: Tensor, h: Tensor, c: Tensor | None, batch_sizes: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reads a sequence.

        Args:
            inputs: (T, B, E), or packed (tokens, E) when `batch_sizes` is given.
            h: Hidden state before it, (B, H).
            c: Cell state before it, (B, H); None unless LSTM.
            batch_sizes: Rows that are valid at each time step, as in `PackedSequence`.

        Returns:
            Hidden states of every step, and the last hidden and cell state of every row.
        """
        recurrent: Tensor = self.weight_hh
        if self.training and self.recurrent_dropout:
            # DropConnect on the recurrent matrices, one mask for the whole sequence (Merity et al., 2018).
            recurrent = F.dropout(recurrent, self.recurrent_dropout)
        weights = [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]
        # Without dropout inside the kernel, its training flag only says whether a backward pass may follow.
        train = self.training or torch.is_grad_enabled()
        if batch_sizes is None and len(inputs) == 1:
            # A single step (generation): the sequence kernel would first lay out the weights anew.
            after = self.cell(inputs[0], h if c is None else (h, c), *weights)
            last = after[0] if self.lstm else after
            return last.unsqueeze(0), last, after[1] if self.lstm else None
        before = (h.unsqueeze(0), c.unsqueeze(0)) if c is not None else h.unsqueeze(0)
        if batch_sizes is None:
            out = self.kernel(inputs, before, weights, True, 1, 0.0, train, False, False)
        else:
            out = self.kernel(inputs, batch_sizes, before, weights, True, 1, 0.0, train, False)
        return out[0], out[1].squeeze(0), out[2].squeeze(0) if self.lstm else None


class LockedDropout(nn.Module):
    """Dropout with one mask for all time steps of a row (Gal & Ghahramani, 2016, variational dropout).

    Args:
        p: Probability of dropping a feature.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        """Drops features of (T, B, D) in training; the identity otherwise."""
        if not self.training or not self.p:
            return inputs
        return inputs * F.dropout(torch.ones_like(inputs[:1]), self.p)


class RecurrentModel(NeuralLanguageModel):
    """Stacked recurrent layers with tied embeddings, locked dropout and weight-dropped recurrence.

    Regularisation follows AWD-LSTM (Merity et al., 2018, Regularizing and optimizing LSTM language models).

    Initial weights:

    | parameter | value |
    |---|---|
    | embedding, output | N(0, 0.1^2) |
    | input-to-hidden | Xavier uniform, each gate by itself (Glorot & Bengio, 2010) |
    | hidden-to-hidden | orthogonal by gate (Saxe et al., 2014); identity for ReLU (Le et al., 2015) |
    | biases | 0; forget gate of the LSTM 1 (Gers et al., 2000; Jozefowicz et al., 2015) |
    | projection | Xavier uniform |

    Args:
        config: Shape of the model; decides the cell.
    """

    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        sizes = [config.embedding_size] + [config.hidden_size] * (config.layers - 1)
        self.layers = nn.ModuleList(RecurrentLayer(config, size) for size in sizes)
        self.dropout = LockedDropout(config.dropout)
        self.projection = (
            nn.Linear(config.hidden_size, config.embedding_size, bias=False) if config.projected else None
        )
        self.output = (
            None if config.tied else nn.Parameter(torch.empty(config.vocab_size, config.hidden_size))
        )
        self.reset_parameters()

    @property
    def architecture(self) -> str:  # type: ignore[override]
        """Name in the registry: the cell."""
        return self.config.architecture

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws the initial weights of the table above from PyTorch's generator."""
        size, gates = self.config.hidden_size, GATES[self.config.architecture]
        relu = self.config.architecture == "rnn" and self.config.nonlinearity == "relu"
        nn.init.normal_(self.embedding.weight, std=0.1)
        if self.output is not None:
            nn.init.normal_(self.output, std=0.1)
        if self.projection is not None:
            nn.init.xavier_uniform_(self.projection.weight)
        for layer in self.recurrent_layers():
            for gate in torch.split(layer.weight_ih, size):
                nn.init.xavier_uniform_(gate)
            for gate in torch.split(layer.weight_hh, size):
                nn.init.eye_(gate) if relu else nn.init.orthogonal_(gate)
            nn.init.zeros_(layer.bias_ih)
            nn.init.zeros_(layer.bias_hh)
            if self.config.architecture == "lstm":
                layer.bias_ih[size : 2 * size] = 1.0
            for weight in (layer.weight_ih, layer.weight_hh):
                # Muon orthogonalises each gate's matrix by itself.
                weight.muon_split = (size,) * gates  # type: ignore[attr-defined]

    def recurrent_layers(self) -> list[RecurrentLayer]:
        """The layers, from the input up."""
        return [layer for layer in self.layers if isinstance(layer, RecurrentLayer)]

    def initial_state(self, batch: int) -> RecurrentState:
        """See `LanguageModel.initial_state`."""
        weight = self.layers[0].weight_hh
        assert isinstance(weight, Tensor)
        shape = (self.config.layers, batch, self.config.hidden_size)
        zeros = weight.new_zeros(shape)
        return RecurrentState.beginning(zeros, self.config.architecture == "lstm", self.advance)

    def hidden(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None, need_state: bool = True
    ) -> tuple[Tensor, State | None]:
        """See `NeuralLanguageModel.hidden`."""
        if state is None:
            state = self.initial_state(len(ids))
        assert isinstance(state, RecurrentState)
        outputs, h, c = self.advance(ids, state.h, state.c, lengths)
        # Dropout makes training passes unrepeatable, so no history is kept to replay.
        new_state = state.after(ids, lengths, h, c, keep_history=not self.training) if need_state else None
        outputs = self.dropout(outputs)
        if self.projection is not None:
            outputs = self.projection(outputs)
        return outputs.transpose(0, 1), new_state

    def advance(
        self, ids: Tensor, h: Tensor, c: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reads tokens.

        Args:
            ids: Token ids, int64 (B, T), right-padded where `lengths` is given.
            h: Hidden states of the layers, (layers, B, H).
            c: Cell states of the layers, (layers, B, H); None unless LSTM.
            lengths: Valid tokens of each row, int64 (B,); None means T.

        Returns:
            Outputs of the last layer, time-first (T, B, H), and the hidden and cell states after the last
            valid token of each row.
        """
        steps = ids.shape[1]
        if steps == 0 or ids.shape[0] == 0:
            return h.new_zeros(steps, ids.shape[0], self.config.hidden_size), h, c
        if lengths is not None and bool((lengths == steps).all()):
            lengths = None
        inputs = self.dropout(self.embedding(ids.T))
        if lengths is None:
            return self._stack(inputs, h, c)
        # Packed sequences end each row at its own length, in every layer. They cannot be empty: an empty row
        # reads one token here, and gets its state back below.
        packed = pack_padded_sequence(inputs, lengths.clamp(min=1).cpu(), enforce_sorted=False)
        order, restore = packed.sorted_indices, packed.unsorted_indices
        ordered_c = None if c is None else c[:, order]
        outputs, new_h, new_c = self._stack(packed.data, h[:, order], ordered_c, packed)
        padded, _ = pad_packed_sequence(packed._replace(data=outputs), total_length=steps)
        empty = (lengths == 0)[None, :, None]
        new_h = torch.where(empty, h, new_h[:, restore])
        if c is not None and new_c is not None:
            new_c = torch.where(empty, c, new_c[:, restore])
        return padded, new_h, new_c

    def _stack(
        self, outputs: Tensor, h: Tensor, c: Tensor | None, packed: PackedSequence | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Runs the layers over (T, B, E), or over the data of `packed` with states in its order."""
        hs: list[Tensor] = []
        cs: list[Tensor] = []
        for index, layer in enumerate(self.recurrent_layers()):
            if index:
                outputs = self.dropout(outputs) if packed is None else self._packed_dropout(outputs, packed)
            outputs, h_layer, c_layer = layer(
                outputs,
                h[index],
                None if c is None else c[index],
                None if packed is None else packed.batch_sizes,
            )
            hs.append(h_layer)
            if c_layer is not None:
                cs.append(c_layer)
        return outputs, torch.stack(hs), torch.stack(cs) if cs else None

    def _packed_dropout(self, outputs: Tensor, packed: PackedSequence) -> Tensor:
        """Locked dropout of packed outputs (tokens, H), with the mask that unpacked ones would get."""
        order = packed.sorted_indices
        if not self.training or not self.config.dropout or order is None:
            return outputs
        rows = (packed.batch_sizes[:, None] > torch.arange(len(order))).nonzero()[:, 1].to(outputs.device)
        mask: Tensor = self.dropout(outputs.new_ones(1, len(order), outputs.shape[1]))[0]
        dropped: Tensor = outputs * mask[order][rows]
        return dropped

    @property
    def output_weight(self) -> Tensor:
        """See `NeuralLanguageModel.output_weight`."""
        return self.embedding.weight if self.output is None else self.output

    def matrices(self) -> list[nn.Parameter]:
        """See `NeuralLanguageModel.matrices`; fused gates carry `muon_split`, the rows of each gate."""
        weights = [w for layer in self.recurrent_layers() for w in (layer.weight_ih, layer.weight_hh)]
        if self.projection is not None:
            weights.append(cast(nn.Parameter, self.projection.weight))
        return weights

    def flops_per_token(self, context: int) -> float:
        """See `NeuralLanguageModel.flops_per_token`; a recurrent model's does not depend on the context."""
        return 2.0 * (sum(w.numel() for w in self.matrices()) + self.output_weight.numel())
