"""Recurrent language models: Elman network, LSTM and GRU.

Elman (1990), Finding structure in time; Hochreiter & Schmidhuber (1997), Long short-term memory; Cho et al.
(2014), Learning phrase representations using RNN encoder-decoder. The layers run in PyTorch's fused kernels.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .base import NeuralLanguageModel, State
from .recurrent_config import GATES, RecurrentConfig, count_parameters
from .recurrent_layer import LockedDropout, RecurrentLayer
from .recurrent_state import RecurrentState

__all__ = ["RecurrentConfig", "RecurrentModel", "count_parameters"]


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
