"""One time step of a recurrent layer, for generation.

The sequence kernels lay the weights out anew in every call, which takes longer than a single step itself. And
PyTorch's own cells call MKL's vectorised tanh, which wakes threads of its own: milliseconds on a busy machine
for what takes microseconds. Here tanh(x) = 2 sigmoid(2 x) - 1, whose error is the rounding of float32 near 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def _tanh(x: Tensor) -> Tensor:
    return torch.sigmoid(x * 2).mul(2).sub(1)


def lstm_step(inputs: Tensor, h: Tensor, c: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Takes one step of an LSTM.

    Args:
        inputs: (B, E).
        h: Hidden state, (B, H).
        c: Cell state, (B, H).
        weights: Input-to-hidden (4 H, E) and hidden-to-hidden (4 H, H), then their biases; gates i, f, g, o.

    Returns:
        The new hidden and cell state.
    """
    gates = F.linear(inputs, weights[0], weights[2]) + F.linear(h, weights[1], weights[3])
    size = h.shape[1]
    entry, forget, output = gates[:, :size], gates[:, size : 2 * size], gates[:, 3 * size :]
    added = torch.sigmoid(entry) * _tanh(gates[:, 2 * size : 3 * size])
    new_c = torch.addcmul(added, torch.sigmoid(forget), c)
    return torch.sigmoid(output) * _tanh(new_c), new_c


def gru_step(inputs: Tensor, h: Tensor, weights: list[Tensor]) -> Tensor:
    """Takes one step of a GRU; gates r, z, n, with the reset gate after the product, as in cuDNN.

    Args:
        inputs: (B, E).
        h: Hidden state, (B, H).
        weights: As in `lstm_step`, with 3 H rows.

    Returns:
        The new hidden state.
    """
    size = h.shape[1]
    from_input = F.linear(inputs, weights[0], weights[2])
    from_hidden = F.linear(h, weights[1], weights[3])
    gates = torch.sigmoid(from_input[:, : 2 * size] + from_hidden[:, : 2 * size])
    reset, update = gates[:, :size], gates[:, size:]
    new = _tanh(torch.addcmul(from_input[:, 2 * size :], reset, from_hidden[:, 2 * size :]))
    return torch.lerp(new, h, update)


def rnn_step(inputs: Tensor, h: Tensor, weights: list[Tensor], nonlinearity: str) -> Tensor:
    """Takes one step of an Elman network.

    Args:
        inputs: (B, E).
        h: Hidden state, (B, H).
        weights: As in `lstm_step`, with H rows.
        nonlinearity: `tanh` or `relu`.

    Returns:
        The new hidden state.
    """
    total = F.linear(inputs, weights[0], weights[2]) + F.linear(h, weights[1], weights[3])
    return F.relu(total) if nonlinearity == "relu" else _tanh(total)
