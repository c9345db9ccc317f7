"""Language models of minGRU, minLSTM and RG-LRU blocks: recurrent, but trained like a Transformer, all steps at once.

A block is x + out(cell(convolution(norm(x)))), then x + feed_forward(norm(x)), as in Griffin (De et al., 2024) without
its attention. See `scan_cells` for the cells.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenmo.models.base import NeuralLanguageModel, State
from wenmo.models.dropout import dropout
from wenmo.models.fused import gated_recurrence
from wenmo.models.layers import FeedForward, RMSNorm
from wenmo.models.low_precision import product
from wenmo.models.recurrent_state import RecurrentState
from wenmo.models.scan_cells import CausalConvolution, MinimalCell, RealGatedCell
from wenmo.models.scan_config import ScanConfig, count_parameters

__all__ = ["ScanConfig", "ScanModel", "count_parameters"]


class ScanLayer(nn.Module):
    """A cell with the matrices, the convolution and the gated branch around it.

    Args:
        config: Shape.
    """

    def __init__(self, config: ScanConfig) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(config.width, sum(config.projections), bias=False)
        self.project.weight.muon_split = config.projections  # type: ignore[attr-defined]
        self.convolution: CausalConvolution | None = None
        if config.convolution > 1:
            self.convolution = CausalConvolution(config.convolved, config.convolution)
        self.cell: MinimalCell | RealGatedCell
        if config.architecture == "rglru":
            self.cell = RealGatedCell(config)
        else:
            self.cell = MinimalCell(config, longest=float(config.context_length))
        self.out = nn.Linear(config.state_size, config.width, bias=False)

    def forward(self, x: Tensor, memory: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Reads a sequence.

        Args:
            x: Normed residual stream, time-first (T, B, width).
            memory: What the layer remembers, (B, `config.memory`).
            lengths: Valid tokens of each row, int64 (B,); None means T.

        Returns:
            What the layer adds to the residual stream, and what it remembers after the last valid token of each row.
        """
        size = self.config.state_size
        state, recent = memory[:, :size], memory[:, size:]
        real = self.config.architecture == "rglru"
        if not real:
            x, recent = self._convolve(x, recent, lengths)
        fused = isinstance(self.cell, MinimalCell) and self.cell.fuses(x, state)
        projected = product(self.project, x) if fused else self.project(x)
        if fused:
            states, mixed = gated_recurrence(projected, self.cell.bias, state)
        else:
            inputs, branch = self._split(projected)
            if real:
                inputs, recent = self._convolve(inputs, recent, lengths)
            states = self.cell(inputs, state)
            mixed = states if branch is None else states * F.gelu(branch, approximate="tanh")
        # The cell computes in float32 at least, also where the whole model is in a lower precision.
        added: Tensor = self.out(mixed.to(projected.dtype))
        return added, torch.cat([_last(states, state, lengths), recent], 1)

    def _split(self, projected: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self.config.gated:
            return projected, None
        size = self.cell.inputs
        # Not by two slices, whose gradients would each be made as large as the whole and added.
        inputs, branch = torch.split(projected, [size, projected.shape[-1] - size], -1)
        return inputs, branch

    def _convolve(self, x: Tensor, recent: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the convolved (T, B, D), and the last tokens of each row for the next call."""
        if self.convolution is None:
            return x, recent
        before = recent.view(len(recent), -1, x.shape[2]).transpose(0, 1).to(x.dtype)
        padded = torch.cat([before, x])
        if lengths is None:
            kept = padded[len(x) :].transpose(0, 1)
        else:
            places = lengths.unsqueeze(1) + torch.arange(len(before), device=x.device)
            kept = padded.transpose(0, 1).gather(1, places.unsqueeze(2).expand(-1, -1, x.shape[2]))
        return self.convolution(padded), kept.flatten(1).to(recent.dtype)


def _last(states: Tensor, before: Tensor, lengths: Tensor | None) -> Tensor:
    """The state of each row after its last valid token, (B, R)."""
    if lengths is None:
        return states[-1]
    place = (lengths - 1).clamp(min=0).view(1, -1, 1).expand(-1, -1, states.shape[2])
    return torch.where((lengths > 0).unsqueeze(1), states.gather(0, place)[0], before)


class ScanBlock(nn.Module):
    """One layer: x + recurrence(norm(x)), then x + feed_forward(norm(x)).

    Args:
        config: Shape.
    """

    def __init__(self, config: ScanConfig) -> None:
        super().__init__()
        self.recurrence_norm = RMSNorm(config.width, config.norm_epsilon)
        self.recurrence = ScanLayer(config)
        self.ffn_norm = RMSNorm(config.width, config.norm_epsilon)
        self.ffn = FeedForward(config.width, config.ffn, config.activation)
        self.dropout = config.dropout

    def forward(self, x: Tensor, memory: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the residual stream (T, B, width) after the layer, and what the layer remembers."""
        added, memory = self.recurrence(self.recurrence_norm(x), memory, lengths)
        x = x + self._drop(added)
        return x + self._drop(self.ffn(self.ffn_norm(x))), memory

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class ScanModel(NeuralLanguageModel):
    """A stack of gated linear recurrences with feed-forward networks in between.

    Initialisation (d = width, L = layers):

    | parameter | value |
    |---|---|
    | embedding, output layer | normal, 0.02 |
    | projections, gate, up | normal, 1 / sqrt(inputs) |
    | recurrence output, feed-forward down | normal, 0.02 / sqrt(2 L) |
    | convolution | normal, 0.1, plus 1 at the current token |
    | gate bias of minGRU, forget bias of minLSTM | memories of 1 to `context_length` steps, evenly by logarithm |
    | decay of RG-LRU | 0.9 to 0.999 with the gate open |
    | other biases; norms | 0; 1 |

    Args:
        config: Shape; decides the cell.
    """

    config: ScanConfig

    def __init__(self, config: ScanConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(ScanBlock(config) for _ in range(config.layers))
        self.final_norm = RMSNorm(config.width, config.norm_epsilon)
        self.output = None if config.tied else nn.Linear(config.width, config.vocab_size, bias=False)
        self._initialise()

    @property
    def architecture(self) -> str:  # type: ignore[override]
        """Name in the registry: the cell."""
        return self.config.architecture

    def _initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.02)
        if self.output is not None:
            nn.init.normal_(self.output.weight, std=0.02)
        residual = 0.02 / math.sqrt(2 * self.config.layers)
        for name, module in self.blocks.named_modules():
            if isinstance(module, nn.Linear):
                inner = name.endswith(("recurrence.out", "ffn.down"))
                nn.init.normal_(module.weight, std=residual if inner else module.in_features**-0.5)
            elif isinstance(module, (MinimalCell, RealGatedCell, CausalConvolution)):
                module.reset_parameters()

    def initial_state(self, batch: int) -> RecurrentState:
        """See `LanguageModel.initial_state`; every layer remembers `config.memory` numbers."""
        zeros = self.embedding.weight.new_zeros(self.config.layers, batch, self.config.memory)
        return RecurrentState.beginning(zeros, False, self.advance)

    def hidden(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None, need_state: bool = True
    ) -> tuple[Tensor, State | None]:
        """See `NeuralLanguageModel.hidden`."""
        if state is None:
            state = self.initial_state(len(ids))
        assert isinstance(state, RecurrentState)
        outputs, memory, _ = self.advance(ids, state.h, None, lengths)
        # Dropout makes training passes unrepeatable, so no history is kept to replay.
        new_state = (
            state.after(ids, lengths, memory, None, keep_history=not self.training) if need_state else None
        )
        return outputs.transpose(0, 1), new_state

    def advance(
        self, ids: Tensor, h: Tensor, c: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reads tokens.

        Args:
            ids: Token ids, int64 (B, T), right-padded where `lengths` is given.
            h: What the layers remember, (layers, B, `config.memory`).
            c: None; recurrent models of another kind have a second state.
            lengths: Valid tokens of each row, int64 (B,); None means T.

        Returns:
            Normed outputs of the last layer, time-first (T, B, width), and what the layers remember after the last
            valid token of each row.
        """
        steps = ids.shape[1]
        if steps == 0 or ids.shape[0] == 0:
            return h.new_zeros(steps, ids.shape[0], self.config.width), h, None
        x = dropout(self.embedding(ids.T), self.config.dropout, self.training)
        memories = []
        for block, memory in zip(self.blocks, h.unbind(), strict=True):
            x, after = block(x, memory, lengths)
            memories.append(after)
        return self.final_norm(x), torch.stack(memories), None

    @property
    def output_weight(self) -> Tensor:
        """See `NeuralLanguageModel.output_weight`."""
        return self.embedding.weight if self.output is None else self.output.weight

    def matrices(self) -> list[nn.Parameter]:
        """See `NeuralLanguageModel.matrices`; the convolutions' weights are vectors for each place."""
        places = {id(m.weight) for m in self.blocks.modules() if isinstance(m, CausalConvolution)}
        return [p for p in self.blocks.parameters() if p.dim() == 2 and id(p) not in places]

    def flops_per_token(self, context: int) -> float:
        """See `NeuralLanguageModel.flops_per_token`; a recurrent model's does not depend on the context."""
        return 2.0 * (sum(w.numel() for w in self.matrices()) + self.output_weight.numel())
