"""Beam search: the likeliest continuations, by keeping the best few at every length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.config import GenerationSettings
from wenmo.generation.decoding import Completion, FinishReason, Vocabulary, banned_tokens
from wenmo.generation.reader import Reader
from wenmo.generation.streaming import TextStream


@dataclass(frozen=True)
class Hypothesis:
    """A continuation.

    Attributes:
        tokens: Its ids.
        logprobs: Natural log-probability of each.
        total: Their sum.
        reason: Why it ended; None while it goes on.
    """

    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    total: float = 0.0
    reason: FinishReason | None = None

    def score(self, length_penalty: float) -> float:
        """Returns total / length ** length_penalty (Wu et al. 2016, simplified as in transformers)."""
        return float(self.total / len(self.tokens) ** length_penalty)


def beam_search(reader: Reader, vocabulary: Vocabulary, settings: GenerationSettings) -> list[Completion]:
    """Searches for the continuations of the highest score.

    At each length the 2 * beams best continuations are looked at; of the first `beams` of these, the ended
    ones are kept as results, and the best `beams` that have not ended go on. The search ends when nothing
    that goes on can reach the score of the worst of `beams` results, whatever follows.

    Args:
        reader: Holds the prompt.
        vocabulary: The tokenizer.
        settings: `beams`, `n`, `max_tokens`, `length_penalty`, `stop`, `ignore_eos`; nothing is random.

    Returns:
        The best `settings.n` completions, best first (fewer when the search found fewer).
    """
    width, penalty, ends = settings.beams, settings.length_penalty, vocabulary.end_ids
    banned = banned_tokens(reader, vocabulary, settings)
    running = [Hypothesis()]
    ended: list[Hypothesis] = []
    for length in range(1, settings.max_tokens + 1):
        scores = _log_softmax(reader.logits)
        scores[:, banned] = -np.inf
        going: list[tuple[int, Hypothesis]] = []
        for rank, (row, token) in enumerate(_best(scores, [h.total for h in running], 2 * width)):
            logprob = float(scores[row, token])
            longer = running[row]
            tokens = (*longer.tokens, token)
            stopped = token in ends or _has_stop(tokens, vocabulary, settings.stop)
            reason: FinishReason | None = (
                "stop" if stopped else "length" if length == settings.max_tokens else None
            )
            found = Hypothesis(tokens, (*longer.logprobs, logprob), longer.total + logprob, reason)
            if reason is None and len(going) < width:
                going.append((row, found))
            elif reason is not None and rank < width:
                ended.append(found)
        ended = sorted(ended, key=lambda h: -h.score(penalty))[:width]
        if not going or (len(ended) == width and _bound(going, settings) <= ended[-1].score(penalty)):
            break
        running = [hypothesis for _, hypothesis in going]
        reader.advance([row for row, _ in going], [h.tokens[-1] for h in running])
    return [_completion(h, vocabulary, settings.stop, reader) for h in ended[: settings.n]]


def _bound(going: list[tuple[int, Hypothesis]], settings: GenerationSettings) -> float:
    """Highest score that a continuation of these can reach: every further token has log-probability 0."""
    penalty = settings.length_penalty
    length = settings.max_tokens if penalty > 0 else len(going[0][1].tokens) + 1
    return max(h.total for _, h in going) / float(length**penalty)


def _best(scores: npt.NDArray[np.float64], totals: list[float], count: int) -> list[tuple[int, int]]:
    """Returns (row, token) of the highest totals + scores, best first."""
    summed = (np.asarray(totals)[:, None] + scores).ravel()
    count = min(count, int(np.isfinite(summed).sum()))
    if count == 0:
        return []
    best = np.argpartition(-summed, count - 1)[:count]
    best = best[np.lexsort((best, -summed[best]))]
    return [(int(place) // scores.shape[1], int(place) % scores.shape[1]) for place in best]


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _has_stop(tokens: tuple[int, ...], vocabulary: Vocabulary, stops: tuple[str, ...]) -> bool:
    if not stops:
        return False
    text = b"".join(vocabulary.token_bytes[token] for token in tokens).decode("utf-8", "ignore")
    return any(stop in text for stop in stops)


def _completion(
    found: Hypothesis, vocabulary: Vocabulary, stops: tuple[str, ...], reader: Reader
) -> Completion:
    stream = TextStream(vocabulary.token_bytes, stops)
    for token in found.tokens:
        stream.feed(token)
    stream.close(cut=found.reason == "length")
    reason = found.reason or "length"
    return Completion(
        stream.text, list(found.tokens), list(found.logprobs), reason, reader.notes, reader.precision
    )
