"""Gradient times input of a network, by character."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.classification.network import Network


def network_heat(network: Network, text: str, lead: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What each character of `text` adds to scores @ lead, to first order.

    Args:
        network: The network.
        text: The text.
        lead: Weights of the classes (K,).

    Returns:
        float64 (len(text),): a token's value is spread over its bytes, and those are added up by character.
    """
    heat = np.zeros(len(text))
    ids = network.tokenizer.encode(text)
    if not len(ids):
        return heat
    kept = network.kept(len(ids))
    seen: list[Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, output: Tensor) -> Tensor:
        fresh = output.detach().requires_grad_()
        seen.append(fresh)
        return fresh

    network.eval()
    hook = network.encoder.embedding().register_forward_hook(keep)
    try:
        with torch.enable_grad():
            scores = network([ids[kept]])[0]
            (scores @ torch.from_numpy(lead).float()).backward()
    finally:
        hook.remove()
        network.zero_grad(set_to_none=True)
    values = torch.zeros(())
    for embedded, time_first in zip(seen, network.encoder.embedded_time_first(), strict=True):
        assert embedded.grad is not None
        added = (embedded.grad * embedded.detach()).sum(dim=-1)
        values = values + (added.T if time_first else added)
    # Windows begin with a token of their own, which belongs to no character.
    flat, left = [], len(kept)
    for row in values:
        count = min(left, values.shape[1] - 1)
        flat.append(row[1 : 1 + count])
        left -= count
    tokens = np.zeros(len(ids))
    tokens[kept] = torch.cat(flat).double().numpy()
    lengths = network.tokenizer.byte_lengths[ids]
    by_byte = np.repeat(tokens / np.maximum(lengths, 1), lengths)
    sizes = np.array([len(c.encode("utf-8")) for c in text])
    owner = np.repeat(np.arange(len(text)), sizes)
    np.add.at(heat, owner[: len(by_byte)], by_byte[: len(owner)])
    return heat
