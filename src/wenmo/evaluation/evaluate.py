"""Scores a saved model on text: bits per byte beside compressors that read the same training text."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from wenmo.corpus import Corpus
from wenmo.errors import InputError, ModelError
from wenmo.models.base import LanguageModel
from wenmo.models.likelihood import bits_per_byte, perplexity, score_stream
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.storage import LoadedModel
from wenmo.progress import track
from wenmo.tokenization.tokenizer import Tokenizer

from . import baselines


class EvaluationResult(BaseModel):
    """The outcome of `wenmo evaluate`; its fields are the JSON that `--json` prints."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model: str
    """Folder of the model."""
    bits_per_byte: float
    """Total nats / ln 2 / UTF-8 bytes of the text; the end of each document is charged."""
    perplexity: float
    """Per token: comparable only between models that share a tokenizer."""
    protocol: str
    """Context window and stride, and `static` (frozen) or `prequential` (adaptive members learn as they read)."""
    bytes: int
    """UTF-8 bytes of the text that was scored."""
    documents: int
    """Documents that were scored; a last one that was cut counts."""
    tokens: int
    """Tokens that were scored, one end for each document included."""
    complete: bool
    """False when the text was longer than the limit and the rest was left out."""
    tokens_per_second: float
    """Speed of scoring."""
    seconds: float
    """Wall-clock time in all, baselines included."""
    members: dict[str, float]
    """Bits per byte of each member of a mixture under the same protocol; empty for a single model."""
    baselines: dict[str, float]
    """Bits per byte of `ppmd`, `xz` and `ngram` on the same text; all three learn while they read."""
    baselines_primed: bool
    """Whether the baselines read the model's training text first; without it they start from nothing."""
    primed_bytes: int
    """UTF-8 bytes of training text that the baselines read first: the last ones when there is more."""


def protocol(context: int, adaptive: bool, cached: int = 0) -> str:
    """Describes how text is scored; see `wenmo.models.likelihood`.

    Args:
        context: Tokens in a window.
        adaptive: Whether members and weights learn from each token after predicting it.
        cached: Tokens before each one that a cache over hidden vectors looks back at; 0 without one.
    """
    kind = "prequential" if adaptive else "static"
    cache = f", cache of the last {cached} tokens" if cached else ""
    return f"{kind}, windows of {context} tokens, stride {max(1, context // 2)}{cache}"


def training_texts(loaded: LoadedModel) -> Iterator[str] | None:
    """Opens the training text of a model.

    Returns:
        The documents; None when the corpus is not there any more, or has changed since.
    """
    corpus: Any = loaded.info.get("corpus")
    if not isinstance(corpus, dict) or "path" not in corpus:
        return None
    try:
        opened = Corpus.open(Path(corpus["path"]))
    except InputError:
        return None
    return opened.texts("train") if opened.fingerprint == corpus.get("fingerprint") else None


def evaluate(
    loaded: LoadedModel,
    texts: Iterable[str],
    *,
    training: Iterable[str] | None = None,
    max_bytes: int | None = None,
    prequential: bool = True,
    with_baselines: bool = True,
    progress: bool = True,
) -> EvaluationResult:
    """Scores a model and the baselines on the same bytes.

    Args:
        loaded: The model.
        texts: Documents to score.
        training: The model's training text, for the baselines to read first; see `training_texts`.
        max_bytes: Most UTF-8 bytes to score; the text is cut there.
        prequential: Let an n-gram model (or member) go on learning from what it has scored.
        with_baselines: Also run PPMd, xz and an n-gram model.
        progress: Show a progress line on stderr.

    Raises:
        InputError: When there is no text.
        ModelError: When the model has no tokenizer.
    """
    started = time.monotonic()
    model, tokenizer = loaded.model, loaded.tokenizer
    if tokenizer is None:
        raise ModelError(f"{loaded.directory} has no tokenizer; save the model with one to evaluate it")
    documents, complete = _limited(texts, max_bytes)
    num_bytes = sum(len(text.encode()) for text in documents)
    if num_bytes == 0:
        raise InputError("there is no text to evaluate on; give files that contain text")
    ids = _stream(tokenizer, documents)
    adaptive = prequential and _adapts(model)
    began = time.monotonic()
    nats, members = _score(model, ids, tokenizer.eos_id, adaptive, progress)
    scoring = time.monotonic() - began
    primer = _tail(training or (), baselines.PRIMING_BYTES)
    scores = _baselines(tokenizer, primer, documents, ids, num_bytes, progress) if with_baselines else {}
    return EvaluationResult(
        model=str(loaded.directory),
        bits_per_byte=bits_per_byte(nats, num_bytes),
        perplexity=perplexity(nats),
        protocol=protocol(
            model.context_length, adaptive, model.cached if isinstance(model, MixtureModel) else 0
        ),
        bytes=num_bytes,
        documents=len(documents),
        tokens=len(ids),
        complete=complete,
        tokens_per_second=len(ids) / max(scoring, 1e-9),
        seconds=time.monotonic() - started,
        members={name: bits_per_byte(row, num_bytes) for name, row in members.items()},
        baselines=scores,
        baselines_primed=bool(primer) and with_baselines,
        primed_bytes=sum(len(text.encode()) for text in primer) if with_baselines else 0,
    )


def _adapts(model: LanguageModel) -> bool:
    return any(not each.trainable for each in (model.saved_members() or {"": model}).values())


def _score(
    model: LanguageModel, ids: npt.NDArray[np.int64], eos_id: int, adaptive: bool, progress: bool
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.float64]]]:
    """Nats of every token, and those under each member of a mixture."""
    with track("scoring", len(ids), "tokens", progress) as bar:
        if not isinstance(model, MixtureModel):
            return score_stream(model, ids, eos_id=eos_id, adaptive=adaptive, progress=bar), {}
        nats, rows = model.score(ids, model.context_length, adaptive, eos_id)
        return nats, dict(zip(model.members, rows, strict=True))


def _baselines(
    tokenizer: Tokenizer,
    primer: list[str],
    documents: list[str],
    ids: npt.NDArray[np.int64],
    num_bytes: int,
    progress: bool,
) -> dict[str, float]:
    prior, held = baselines.documents_bytes(primer), baselines.documents_bytes(documents)
    # The ends of documents are charged, but are no bytes of the text: as it is for models.
    scale = len(held) / num_bytes
    with track("baselines", 3, "done", progress) as bar:
        scores = {}
        for name, compressor in (("ppmd", baselines.ppmd), ("xz", baselines.xz)):
            scores[name] = compressor(prior, held) * scale
            bar.advance()
        ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size))
        # Without training text the model begins at the end of a document, as all scoring does.
        ngram.fit(
            _stream(tokenizer, primer) if primer else np.array([tokenizer.eos_id]), tokenizer.token_bytes
        )
        scores["ngram"] = bits_per_byte(
            score_stream(ngram, ids, eos_id=tokenizer.eos_id, adaptive=True), num_bytes
        )
    return scores


def _stream(tokenizer: Tokenizer, documents: list[str]) -> npt.NDArray[np.int64]:
    end = np.array([tokenizer.eos_id], np.int64)
    return np.concatenate([piece for ids in tokenizer.encode_batch(documents) for piece in (ids, end)])


def _limited(texts: Iterable[str], max_bytes: int | None) -> tuple[list[str], bool]:
    """The documents up to `max_bytes` (the last one cut at a character), and whether these are all."""
    if max_bytes is None:
        return list(texts), True
    taken: list[str] = []
    left = max_bytes
    for text in texts:
        data = text.encode()
        if len(data) > left:
            cut = data[:left].decode("utf-8", errors="ignore")
            return [*taken, cut] if cut else taken, False
        taken.append(text)
        left -= len(data)
    return taken, True


def _tail(texts: Iterable[str], limit: int) -> list[str]:
    """The last documents that fit into `limit` bytes; the first of these is cut when it does not fit whole."""
    kept: deque[tuple[str, int]] = deque()
    size = 0
    for text in texts:
        kept.append((text, len(text.encode())))
        size += kept[-1][1]
        while size - kept[0][1] >= limit:
            size -= kept.popleft()[1]
    if size > limit:
        first = kept.popleft()[0].encode()
        kept.appendleft((first[size - limit :].decode("utf-8", errors="ignore"), 0))
    return [text for text, _ in kept if text]
