"""The Python API of a trained model: write, stream, score and embed text.

    model = wenmo.load("my-model")
    print(model.generate("从前", max_tokens=50)[0].text)

Options have the names, defaults and meaning of the command line's (`wenmo.config.GenerationSettings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from wenmo.config import GenerationSettings
from wenmo.errors import InputError, ModelError, OptionError
from wenmo.generation.decoding import Completion, complete, generate_steps
from wenmo.generation.options import resolve_settings
from wenmo.generation.runtime import Precision, choose_precision, decode_runtime
from wenmo.models.base import LanguageModel, NeuralLanguageModel
from wenmo.models.likelihood import bits_per_byte, perplexity, score_stream
from wenmo.models.mixture import MixtureModel
from wenmo.models.storage import LoadedModel, load_model
from wenmo.tokenization.tokenizer import Tokenizer

__all__ = ["Completion", "Model", "Score", "TokenScore", "load"]


@dataclass(frozen=True)
class TokenScore:
    """One token of a scored text.

    Attributes:
        token: Its id.
        data: Its bytes; a token may be a part of a character. Those of the end of the text are empty.
        logprob: Its natural log-probability given everything before it.
    """

    token: int
    data: bytes
    logprob: float


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text.

    Attributes:
        bits_per_byte: Bits needed for each UTF-8 byte of the text, its end included; lower is better.
        perplexity: exp(mean negative log-probability) per token; comparable only with the same tokenizer.
        tokens: Every token in order; the last is the end of the text.
    """

    bits_per_byte: float
    perplexity: float
    tokens: list[TokenScore]


class Model:
    """A trained language model with its tokenizer, as `load` returns it. Its weights must not be changed.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        info: What was saved with it.
        generation: Its default generation settings.

    Attributes:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        info: What was saved with it: recipe, corpus and scores; for several models, by member.
        generation: Its default generation settings.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        info: dict[str, Any] | None = None,
        generation: GenerationSettings | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.info = info or {}
        self.generation = generation or GenerationSettings()
        self._runtimes: dict[Precision, LanguageModel] = {}

    def generate(self, prompt: str = "", **settings: Any) -> list[Completion]:
        """Continues a prompt.

        Args:
            prompt: Text to continue; "" is the beginning of a document.
            **settings: Fields of `GenerationSettings`, such as max_tokens=100, seed=1 or stop=("。",);
                the model's own defaults hold for the others.

        Returns:
            One completion, or as many as `n` says (best first for beam search); always a list.

        Raises:
            OptionError: When an option is unknown, out of range, without effect or contradicts another.
        """
        resolved = resolve_settings(settings, self.generation)
        return complete(self._runtime(resolved), self.tokenizer, self.tokenizer.encode(prompt), resolved)

    def stream(self, prompt: str = "", **settings: Any) -> Iterator[str]:
        """Continues a prompt, giving the text as it is written.

        The pieces are whole characters and concatenate to the text that `generate` returns for the same seed.

        Args:
            prompt: See `generate`.
            **settings: See `generate`; `n` and `beams` must be 1.

        Raises:
            OptionError: See `generate`; raised at once, not at the first piece.
        """
        resolved = resolve_settings(settings, self.generation)
        if resolved.n != 1 or resolved.beams != 1:
            name = "n" if resolved.n != 1 else "beams"
            raise OptionError(f"{name}={getattr(resolved, name)} cannot be streamed; use generate")
        prompt_ids = self.tokenizer.encode(prompt)
        steps = generate_steps(self._runtime(resolved), self.tokenizer, prompt_ids, resolved)
        return (step.text for step in steps if step.text)

    def score(self, text: str) -> Score:
        """Measures how well the model predicts a text, by the protocol of `wenmo evaluate`, frozen.

        Raises:
            InputError: When the text is empty.
        """
        if not text:
            raise InputError("there is no text to score; give at least one character")
        ids = np.append(self.tokenizer.encode(text), self.tokenizer.eos_id)
        nats = score_stream(self.model, ids, eos_id=self.tokenizer.eos_id)
        names = self.tokenizer.token_bytes
        tokens = [TokenScore(int(i), names[i], -float(loss)) for i, loss in zip(ids, nats, strict=True)]
        return Score(bits_per_byte(nats, len(text.encode())), perplexity(nats), tokens)

    def embed(self, text: str | Sequence[str]) -> npt.NDArray[np.float32]:
        """Returns a vector for each text: the mean of the last hidden states over its tokens.

        A text longer than the context is read in stretches. In a mixture the first neural member reads.

        Args:
            text: One text or several.

        Returns:
            float32 (N, D), N = 1 for a single string.

        Raises:
            ModelError: When no part of the model has hidden states (an n-gram model).
        """
        texts = [text] if isinstance(text, str) else list(text)
        found = [module for module in self.model.modules() if isinstance(module, NeuralLanguageModel)]
        if not found:
            raise ModelError(f"a model of kind {self.model.architecture} has no hidden states to embed with")
        with torch.inference_mode():
            vectors = [self._mean_hidden(found[0], ids) for ids in self.tokenizer.encode_batch(texts)]
        size = found[0].output_weight.shape[1]
        return np.stack(vectors) if vectors else np.zeros((0, size), np.float32)

    def _mean_hidden(self, model: NeuralLanguageModel, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        step = max(model.context_length - 1, 1)
        total: torch.Tensor | None = None
        for start in range(0, max(len(ids), 1), step):
            piece = np.append(self.tokenizer.eos_id, ids[start : start + step])
            hidden, _ = model.hidden(torch.from_numpy(piece)[None].to(model.device), need_state=False)
            read = hidden[0, 1:] if len(ids) else hidden[0]  # of an empty text only its beginning is there
            summed = read.double().sum(0)
            total = summed if total is None else total + summed
        assert total is not None
        return np.asarray((total / max(len(ids), 1)).float().cpu().numpy())

    def _runtime(self, settings: GenerationSettings) -> LanguageModel:
        precision = choose_precision(self.model, settings)
        if precision not in self._runtimes:
            self._runtimes[precision] = decode_runtime(self.model, precision)
        return self._runtimes[precision]


def load(
    *paths: str | Path | Sequence[str | Path],
    weights: Sequence[float] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Model:
    """Opens a saved model, or several as a mixture: `load("a")`, `load("a", "b", weights=[0.7, 0.3])`.

    Args:
        *paths: Model directories, one by one or in a list. Several must share their tokenizer.
        weights: Share of each model in the mixture's probabilities, scaled to sum to 1; equal when not given.
        device: Where the model runs; "auto" takes CUDA when there is one.

    Raises:
        ModelError: When a directory is no usable model, or the tokenizers differ.
        OptionError: When the weights do not fit the models, or the device is not there.
    """
    flat = [Path(p) for item in paths for p in ([item] if isinstance(item, str | Path) else item)]
    if not flat:
        raise OptionError("load needs at least one model directory")
    if weights is not None and (len(flat) == 1 or len(weights) != len(flat)):
        raise OptionError(
            f"weights: {len(weights)} given for {len(flat)} models; mix several, one weight for each"
        )
    place = _device(device)
    loaded = [load_model(path, place) for path in flat]
    tokenizer = _shared_tokenizer(loaded)
    if len(loaded) == 1:
        return Model(loaded[0].model, tokenizer, loaded[0].info, loaded[0].generation)
    names = _names(flat)
    mixture = MixtureModel.of({name: part.model for name, part in zip(names, loaded, strict=True)})
    if weights is not None:
        mixture.weights.copy_(torch.as_tensor(_shares(weights)).expand_as(mixture.weights))
    info = {"members": {name: part.info for name, part in zip(names, loaded, strict=True)}}
    return Model(mixture, tokenizer, info, loaded[0].generation)


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise OptionError(f"device: unknown device '{device}'; choose auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device=cuda: there is no CUDA device; use device=auto")
    return device


def _shared_tokenizer(loaded: list[LoadedModel]) -> Tokenizer:
    first = loaded[0].tokenizer
    for part in loaded:
        if part.tokenizer is None or first is None:
            raise ModelError(
                f"{part.directory} has no tokenizer that wenmo reads; text cannot be given to it"
            )
        if part.tokenizer.fingerprint != first.fingerprint:
            raise ModelError(
                f"{part.directory} and {loaded[0].directory} have different tokenizers and cannot be mixed; "
                "train them with the same one"
            )
    assert first is not None
    return first


def _names(paths: list[Path]) -> list[str]:
    """Folder names without dots (which a module name may not have), numbered where they repeat."""
    names: list[str] = []
    for path in paths:
        name = (path.resolve().name or "model").replace(".", "_")
        count = 2
        unique = name
        while unique in names:
            unique, count = f"{name}-{count}", count + 1
        names.append(unique)
    return names


def _shares(weights: Sequence[float]) -> npt.NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise OptionError(f"weights: {list(weights)} must be zero or more, and not all zero")
    return np.asarray(values / values.sum())
