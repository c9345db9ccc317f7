"""Other people's recipes for a language model of a text, each trained for a given time on the same tokens.

They are scored as wenmo's models are: windows of the context length that slide by half of it, nats of every token.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenmo.models.likelihood import windows

GPT2_SIZES = ((2, 64, 2), (3, 96, 3), (4, 128, 4), (4, 256, 4))
"""Layers, width and heads."""
CONTEXT = 128

KERAS_WORKER = """
import os, sys, json, time
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
train_path, test_path, vocab, seconds, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
import numpy as np, keras, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.optimizer.set_jit(False)
train, test = np.load(train_path), np.load(test_path)
length, rows, units = 100, 64, 512
model = keras.Sequential([keras.Input((None,), dtype="int32"), keras.layers.Embedding(vocab, 256),
    keras.layers.GRU(units, return_sequences=True), keras.layers.Dense(vocab)])
model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
rng = np.random.default_rng(0)
def batch():
    starts = rng.integers(len(train) - length - 1, size=(rows, 1)) + np.arange(length + 1)
    return train[starts]
block = batch()
model.train_on_batch(block[:, :-1], block[:, 1:])
begun, steps = time.perf_counter(), 0
while time.perf_counter() - begun < seconds:
    block = batch()
    model.train_on_batch(block[:, :-1], block[:, 1:])
    steps += 1
context, stride = 2 * length, length
pieces = {}
for start in range(0, len(test) - 1, stride):
    low = max(0, start - stride)
    piece = test[low : start + stride + 1]
    pieces.setdefault(len(piece), []).append((piece, start - low))
nats = 0.0
for same in pieces.values():
    for first in range(0, len(same), 16):
        part = same[first : first + 16]
        block = np.stack([piece for piece, _ in part])
        logits = model.predict_on_batch(block[:, :-1]).astype("float64")
        logits -= logits.max(-1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        own = -np.take_along_axis(logs, block[:, 1:, None].astype("int64"), -1)[..., 0]
        nats += sum(row[skip:].sum() for row, (_, skip) in zip(own, part))
print(json.dumps({"nats": float(nats), "steps": steps, "keras": keras.__version__, "tensorflow": tf.__version__}))
"""


def nats_of(logits: Callable[[Tensor], Tensor], ids: np.ndarray, eos_id: int, context: int) -> float:
    """Sum of the nats of all tokens, the first after eos."""
    stream = torch.from_numpy(np.concatenate([[eos_id], ids]).astype(np.int64))
    width, total = min(context, len(ids)), 0.0
    with torch.no_grad():
        for start, first in windows(len(ids), context).tolist():
            piece = stream[start : start + width + 1]
            out = logits(piece[None, :-1])[0, first:]
            total += F.cross_entropy(out.float(), piece[1:][first:], reduction="sum").item()
    return total


def gpt2(
    train: Tensor, vocab: int, size: tuple[int, int, int], seconds: float
) -> tuple[Callable[[Tensor], Tensor], int]:
    """GPT-2 of `transformers` with AdamW, cosine and the batch of nanoGPT's setting for a CPU scaled to its time."""
    from transformers import GPT2Config, GPT2LMHeadModel

    layers, width, heads = size
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab, n_positions=CONTEXT, n_embd=width, n_layer=layers, n_head=heads,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=2e-3, betas=(0.9, 0.99), fused=True)
    rows = 12
    begun, steps = time.monotonic(), 0
    while (done := (time.monotonic() - begun) / seconds) < 1.0:
        rate = 2e-3 * min(1.0, (steps + 1) / 100) * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        block = _draw(train, rows, CONTEXT)
        F.cross_entropy(model(block[:, :-1]).logits.flatten(0, 1), block[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        steps += 1
    model.eval()
    return lambda ids: model(ids).logits, steps


class WeightDroppedLSTM(nn.Module):
    """AWD-LSTM (Merity et al. 2017): locked dropout, dropout of recurrent weights and of words, tied output."""

    def __init__(self, vocab: int, width: int, layers: int, scale: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.layers = nn.ModuleList(nn.LSTM(width, width, batch_first=True) for _ in range(layers))
        self.bias = nn.Parameter(torch.zeros(vocab))
        self.raw = nn.ParameterList(
            nn.Parameter(layer.weight_hh_l0.detach().clone()) for layer in self.layers
        )  # type: ignore[union-attr]
        for layer in self.layers:
            layer.weight_hh_l0.requires_grad_(False)  # type: ignore[union-attr, operator]
        self.words, self.weights, self.between = 0.1 * scale, 0.5 * scale, 0.4 * scale

    def _locked(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        mask = x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1 - self.between) / (1 - self.between)
        return x * mask

    def forward(
        self, ids: Tensor, states: list[tuple[Tensor, Tensor]] | None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Logits (B, T, V) and the new states."""
        weight = self.embedding.weight
        if self.training:
            weight = weight * (weight.new_empty(len(weight), 1).bernoulli_(1 - self.words) / (1 - self.words))
        x = self._locked(F.embedding(ids, weight))
        after = []
        for index, layer in enumerate(self.layers):
            recurrent = F.dropout(self.raw[index], self.weights, self.training)
            given = (layer.weight_ih_l0, recurrent, layer.bias_ih_l0, layer.bias_hh_l0)
            zero = x.new_zeros(1, x.shape[0], x.shape[2])
            state = (zero, zero) if states is None else states[index]
            x, h, c = torch._VF.lstm(x, state, given, True, 1, 0.0, self.training, False, True)  # type: ignore[attr-defined]
            after.append((h.detach(), c.detach()))
            x = self._locked(x)
        return x @ self.embedding.weight.T + self.bias, after


def awd_lstm(train: Tensor, vocab: int, width: int, seconds: float) -> tuple[Callable[[Tensor], Tensor], int]:
    """The published training: SGD at 30 (averaged once half of the time is over, as ASGD), clip 0.25, 70 steps back.

    The dropouts are halved, which is better in few passes.
    """
    torch.manual_seed(0)
    model = WeightDroppedLSTM(vocab, width, 2, 0.5)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=30.0, weight_decay=1.2e-6)
    rows = 20
    columns = len(train) // rows
    data = train[: rows * columns].view(rows, columns)
    average = [p.detach().clone() for p in parameters]
    averaged, steps, position = 0, 0, 0
    states = None
    begun = time.monotonic()
    while (done := (time.monotonic() - begun) / seconds) < 1.0:
        length = int(max(5, np.random.default_rng(steps).normal(70, 5)))
        if position + length + 1 >= columns:
            position, states = 0, None
        block = data[:, position : position + length + 1]
        for group in optimizer.param_groups:
            group["lr"] = 30.0 * length / 70
        logits, states = model(block[:, :-1], states)
        F.cross_entropy(logits.flatten(0, 1), block[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.25)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        position += length
        steps += 1
        if done > 0.5:
            averaged += 1
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1.0 / averaged)
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean)
    model.eval()
    return lambda ids: model(ids, None)[0], steps


def keras_gru(
    python: str, train: np.ndarray, test: np.ndarray, vocab: int, seconds: float, threads: int, folder: Path
) -> dict[str, float]:
    """The GRU of TensorFlow's text generation tutorial, with half of its units, by an interpreter that has Keras."""
    paths = [folder / "train.npy", folder / "test.npy"]
    for path, ids in zip(paths, (train, test), strict=True):
        np.save(path, ids.astype(np.int32))
    words = [python, "-c", KERAS_WORKER, *map(str, paths), str(vocab), str(int(seconds)), str(threads)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _draw(ids: Tensor, rows: int, context: int) -> Tensor:
    starts = torch.randint(len(ids) - context - 1, (rows, 1)) + torch.arange(context + 1)
    return ids[starts]
