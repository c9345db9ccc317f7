"""The one way tokens are scored: sliding windows over one stream, the same for every architecture.

The stream is [eos] followed by the ids of all documents, each with its eos. Windows of `context` tokens slide
by half of it, so that every token is predicted from at least half a context, or from the stream's beginning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.progress import Progress

from .base import LanguageModel, NeuralLanguageModel

Observer = Callable[[Tensor, Tensor], None]
"""Told of the hidden vectors (n, D) and the logits (n, V) of the next n tokens of a stream, on the model's device."""
SCORED_TOKENS = 16_384
"""Tokens that a network reads at a time where it is scored."""
LOGITS = 1 << 22
"""Most logits held at once: 16 MB of float32, three times that with what the normalisation needs."""


def windows(num_tokens: int, context: int) -> npt.NDArray[np.int64]:
    """Lays windows over a stream.

    Window i reads stream[start : start + width], where width = min(context, num_tokens) and stream[0] is
    the eos before the first token, and predicts the token after each of these. Its predictions from `first`
    on are scored; the earlier ones belong to the window before. The last window ends with the stream, which
    gives its tokens more context rather than fewer tokens to the window.

    Args:
        num_tokens: Tokens N to score, at least 1.
        context: Tokens that a window reads, at least 1.

    Returns:
        int64 (windows, 2): start and first of each window. The scored predictions cover every token once, in
        order.
    """
    stride = max(1, context // 2)
    width = min(context, num_tokens)
    starts = np.append(np.arange(0, num_tokens - width, stride), num_tokens - width).astype(np.int64)
    ends = starts + width
    first = np.append(0, ends[:-1] - starts[1:])
    return np.stack([starts, first], 1)


def score_stream(
    model: LanguageModel,
    ids: npt.NDArray[np.integer],
    *,
    eos_id: int,
    context: int | None = None,
    batch_tokens: int = SCORED_TOKENS,
    adaptive: bool = False,
    progress: Progress | None = None,
    observe: Observer | None = None,
) -> npt.NDArray[np.float64]:
    """Returns the negative log-likelihood of every token of a stream.

    Args:
        model: Any model. It is scored in evaluation mode without gradients and left in the mode it was in.
        ids: Token ids (N,): documents joined, each followed by eos. May be memory-mapped.
        eos_id: The token that stands before the stream.
        context: Tokens that a window reads; the model's context length when not given.
        batch_tokens: Most tokens that a forward pass reads, unless one window is longer.
        adaptive: Let a model that can do so learn from each token after predicting it ("prequential"). A
            model that learns by gradients stays frozen either way.
        progress: Told of every scored token.
        observe: Told of all that a neural model predicts, in the order of the tokens; other models do not tell.

    Returns:
        Nats of every token, float64 (N,).

    Raises:
        ValueError: When `ids` is empty, or `context` or `batch_tokens` is less than 1.
    """
    context = model.context_length if context is None else context
    if len(ids) == 0:
        raise ValueError("there is no token to score")
    if context < 1 or batch_tokens < 1:
        raise ValueError("context and batch_tokens must be at least 1")
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            own = model.token_nats(ids, context, adaptive, eos_id)
            if own is None:
                return _score_windows(model, ids, eos_id, context, batch_tokens, progress, observe)
    finally:
        model.train(training)
    if progress is not None:
        progress.advance(len(ids))
    return own


def bits_per_byte(nats: npt.NDArray[np.float64], num_bytes: int) -> float:
    """Returns sum(nats) / (ln 2 * num_bytes), where `num_bytes` counts the UTF-8 bytes of the scored text.

    Raises:
        ValueError: When there are no bytes.
    """
    if num_bytes < 1:
        raise ValueError("there are no bytes to divide by")
    return float(np.sum(nats, dtype=np.float64)) / math.log(2) / num_bytes


def perplexity(nats: npt.NDArray[np.float64]) -> float:
    """Returns exp(mean(nats)): per token, so comparable only between models that share a tokenizer.

    Raises:
        ValueError: When there are no tokens.
    """
    if len(nats) == 0:
        raise ValueError("there are no tokens to average over")
    mean = float(np.mean(nats, dtype=np.float64))
    return math.exp(mean) if mean < 709 else math.inf


def _score_windows(
    model: LanguageModel,
    ids: npt.NDArray[np.integer],
    eos_id: int,
    context: int,
    batch_tokens: int,
    progress: Progress | None,
    observe: Observer | None,
) -> npt.NDArray[np.float64]:
    layout = windows(len(ids), context)
    width = min(context, len(ids))
    rows = max(1, batch_tokens // width)
    nats = []
    for begin in range(0, len(layout), rows):
        batch = layout[begin : begin + rows]
        low, high = int(batch[0, 0]), int(batch[-1, 0]) + width
        # [eos] + ids from low to high: the inputs of these windows and the last target.
        piece = np.empty(high - low + 1, np.int64)
        piece[max(0, 1 - low) :] = ids[max(0, low - 1) : high]
        if low == 0:
            piece[0] = eos_id
        places = torch.from_numpy(batch[:, :1] - low + np.arange(width))
        stream = torch.from_numpy(piece)
        inputs, targets = stream[places].to(model.device), stream[places + 1].to(model.device)
        scored = torch.from_numpy(np.arange(width) >= batch[:, 1:]).to(model.device)
        if isinstance(model, NeuralLanguageModel):
            scores = _score_hidden(model, inputs, targets, scored, observe)
        else:
            scores = _score_logits(model, inputs, targets, scored)
        nats.append(scores.double().cpu().numpy())
        if progress is not None:
            progress.advance(len(nats[-1]))
    return np.concatenate(nats)


def _score_hidden(
    model: NeuralLanguageModel, inputs: Tensor, targets: Tensor, scored: Tensor, observe: Observer | None
) -> Tensor:
    """Nats of the scored positions (M,), with logits of these alone, a chunk at a time."""
    hidden, _ = model.hidden(inputs, need_state=False)
    vectors, wanted = hidden[scored], targets[scored]
    weight = model.output_weight.to(vectors.dtype)
    step = max(1, LOGITS // model.vocab_size)
    nats = []
    for vector, target in zip(vectors.split(step), wanted.split(step), strict=True):  # type: ignore[no-untyped-call]
        logits = (vector @ weight.T).float()
        nats.append(_nats(logits, target))
        if observe is not None:
            observe(vector, logits)
    return torch.cat(nats)


def _score_logits(model: LanguageModel, inputs: Tensor, targets: Tensor, scored: Tensor) -> Tensor:
    """Nats of the scored positions (M,) of a model known only by its logits, read with a state in pieces."""
    nats = torch.empty(targets.shape, device=targets.device)
    width, most = inputs.shape[1], max(1, LOGITS // model.vocab_size)
    for rows in _pieces(len(inputs), max(1, most // width)):
        state = None
        for columns in _pieces(width, most):
            logits, state = model(inputs[rows, columns], state)
            nats[rows, columns] = _nats(logits.flatten(0, 1), targets[rows, columns].flatten()).view(
                logits.shape[:2]
            )
    return nats[scored]


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-softmax of (M, V) at the targets (M,)."""
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def _pieces(length: int, step: int) -> Iterator[slice]:
    return (slice(begin, begin + step) for begin in range(0, length, step))
