"""One recurrent layer over time, and the dropout between layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .dropout import dropout
from .recurrent_cells import gru_step, lstm_step, rnn_step
from .recurrent_config import GATES, RecurrentConfig

# cuDNN wants the weights in one block and copies them there at every call. They are separate tensors so that dropout
# may act on one of them, and the copy is small beside a sequence.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")


class RecurrentLayer(nn.Module):
    """One layer over time, time-first, in PyTorch's fused kernel (oneDNN for an LSTM on CPU, cuDNN on CUDA).

    Time-first, layer by layer and without a copy of the weights is the fastest way through oneDNN; a single
    step goes past it (`recurrent_cells`). The parameters have the names, shapes and gate order of
    `torch.nn.LSTM`.

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
        self.nonlinearity = config.nonlinearity

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
            recurrent = dropout(recurrent, self.recurrent_dropout, True)
        weights = [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]
        # Without dropout inside the kernel, its training flag only says whether a backward pass may follow.
        train = self.training or torch.is_grad_enabled()
        if batch_sizes is None and len(inputs) == 1:
            step, last_c = self._step(inputs[0], h, c, weights)
            return step.unsqueeze(0), step, last_c
        before = (h.unsqueeze(0), c.unsqueeze(0)) if c is not None else h.unsqueeze(0)
        if batch_sizes is None:
            out = self.kernel(inputs, before, weights, True, 1, 0.0, train, False, False)
        else:
            out = self.kernel(inputs, batch_sizes, before, weights, True, 1, 0.0, train, False)
        return out[0], out[1].squeeze(0), out[2].squeeze(0) if self.lstm else None

    def _step(
        self, inputs: Tensor, h: Tensor, c: Tensor | None, weights: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        if c is not None:
            return lstm_step(inputs, h, c, weights)
        if self.kernel is torch.gru:
            return gru_step(inputs, h, weights), None
        return rnn_step(inputs, h, weights, self.nonlinearity), None


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
        return inputs * dropout(torch.ones_like(inputs[:1]), self.p, True)
