"""A trained translator: model, tokenizer and languages, saved in one folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from wenmo.errors import ModelError, OptionError
from wenmo.files import write_text
from wenmo.models.saving import write_tensors
from wenmo.models.storage import read_json
from wenmo.progress import track
from wenmo.seq2seq.base import Seq2SeqModel
from wenmo.seq2seq.batches import padded
from wenmo.seq2seq.codec import PairCodec
from wenmo.seq2seq.registry import parse_config, restore_model
from wenmo.seq2seq.search import search_all
from wenmo.text import han_share
from wenmo.tokenization.tokenizer import Tokenizer

FORMAT_VERSION = 1
FACTS = "translator.json"
WEIGHTS = "model.safetensors"
CHINESE_SHARE = 0.3
"""Share of Han characters from which on a text is taken to be Chinese."""


@dataclass(frozen=True)
class Translation:
    """A translated text.

    Attributes:
        text: The translation.
        tokens: Its token ids.
        confidence: Geometric mean of the probabilities of its tokens, 0 to 1.
        complete: False when it was cut because it grew too long.
    """

    text: str
    tokens: tuple[int, ...]
    confidence: float
    complete: bool


class Translator:
    """Translates sentences.

    Args:
        model: The model, in evaluation mode.
        codec: Texts to ids and back.
        ratio: Target tokens per source token that are allowed, beside ten more.
        beams: Width of the beam unless said otherwise.
        length_penalty: Exponent of the length by which log-probabilities are divided.
        longest: Tokens of the longest source it was trained on; what is longer is better cut.
    """

    def __init__(
        self,
        model: Seq2SeqModel,
        codec: PairCodec,
        *,
        ratio: float,
        beams: int = 5,
        length_penalty: float = 1.0,
        longest: int = 100,
    ) -> None:
        self.model, self.codec = model, codec
        self.ratio, self.beams, self.length_penalty, self.longest = ratio, beams, length_penalty, longest

    def backward(self, to: str | None, texts: Sequence[str] = ()) -> bool:
        """Whether translating into the language `to` is the way back.

        Args:
            to: The language; where none is named and one side is Chinese and the other is not, the script of
                `texts` tells.
            texts: What is to be translated.

        Raises:
            OptionError: When the model does not translate into it, or both ways are possible and none is named.
        """
        ways = {self.codec.languages[0 if backward else 1]: backward for backward in self.codec.backwards}
        if to is None:
            chinese = [language.startswith("zh") for language in self.codec.languages]
            if len(ways) > 1 and texts and chinese[0] != chinese[1]:
                return chinese[1] == (han_share(" ".join(texts)) > CHINESE_SHARE)
            if len(ways) > 1:
                raise OptionError(
                    f"--to: this model translates both ways; say into which of {', '.join(ways)}"
                )
            return next(iter(ways.values()))
        if to not in ways:
            raise OptionError(f"--to: this model translates into {', '.join(ways)}, not into {to!r}")
        return ways[to]

    def size(self, text: str) -> int:
        """Number of tokens of a text."""
        return len(self.codec.encode([text])[0])

    def translate(
        self,
        texts: Sequence[str],
        *,
        backward: bool = False,
        beams: int | None = None,
        length_penalty: float | None = None,
        progress: bool = False,
    ) -> list[Translation]:
        """Translates sentences; a text without anything to translate stays as it is.

        Args:
            texts: Sentences, in any order and number.
            backward: From the second side to the first.
            beams: Width of the beam.
            length_penalty: Above 1 favours longer translations.
            progress: Whether a progress line is shown.
        """
        found: list[Translation] = [Translation(text, (), 1.0, True) for text in texts]
        asked = [number for number, text in enumerate(texts) if any(c.isalpha() for c in text)]
        sources = self.codec.sources([texts[number].strip() for number in asked], backward)
        penalty = self.length_penalty if length_penalty is None else length_penalty
        with track("translating", len(asked), "sentences", progress) as shown:
            for place, hypotheses in search_all(
                self.model,
                sources,
                ratio=self.ratio,
                beams=beams or self.beams,
                length_penalty=penalty,
                banned=self.codec.banned,
            ):
                best = hypotheses[0]
                found[asked[place]] = Translation(
                    self.codec.decode(best.tokens),
                    best.tokens,
                    float(np.exp(best.logprob / (len(best.tokens) + best.complete))),
                    best.complete,
                )
                shown.advance()
        return found

    @torch.no_grad()
    def attention(self, text: str, tokens: Sequence[int], *, backward: bool = False) -> Tensor | None:
        """Returns how much each target token looks at each token of a text, float32 (T, S), ends left out.

        Both sides are as `codec` cuts them; the tag of a direction is left out. None for a model without attention.
        """
        (source,) = self.codec.sources([text.strip()], backward)
        ids, lengths = padded([source])
        read = torch.tensor([[0, *tokens]])
        weights = self.model.attention(
            ids.to(self.model.device), lengths.to(self.model.device), read.to(self.model.device)
        )
        if weights is None:
            return None
        tagged = 1 if self.codec.direction == "both" else 0
        # Row t reads token t - 1 and predicts token t.
        return weights[0, : len(tokens), tagged:-1].float().cpu()

    # -- folder --------------------------------------------------------------------------------------------------

    def save(self, directory: Path) -> None:
        """Writes weights, tokenizer and facts into a folder.

        Raises:
            ResourceError: When the disk is full or the folder is not writable.
        """
        tensors = {
            name: tensor.cpu().contiguous().clone() for name, tensor in self.model.saved_tensors().items()
        }
        write_tensors(tensors, directory / WEIGHTS, {"format": "pt"})
        self.codec.tokenizer.save(directory)
        facts = {
            "format_version": FORMAT_VERSION,
            "model": self.model.config.model_dump(mode="json"),
            "tokenizer": self.codec.tokenizer.fingerprint,
            "languages": list(self.codec.languages),
            "direction": self.codec.direction,
            "ratio": self.ratio,
            "beams": self.beams,
            "length_penalty": self.length_penalty,
            "longest": self.longest,
        }
        write_text(directory / FACTS, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, directory: Path, device: str | torch.device = "cpu") -> Translator:
        """Opens what `save` wrote.

        Raises:
            ModelError: When a file is missing, damaged or of another version.
        """
        facts = _read_facts(directory / FACTS)
        config = parse_config(facts["model"])
        tokenizer = Tokenizer.load(directory)
        if tokenizer.fingerprint != facts["tokenizer"]:
            raise ModelError(
                f"{directory}: the tokenizer is not the one the model was trained with; copy both"
            )
        try:
            tensors = safetensors.torch.load_file(directory / WEIGHTS)
            model = restore_model(config, tensors).to(device).eval()
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"{directory / WEIGHTS} is damaged ({error}); copy the model again") from error
        codec = PairCodec(tokenizer, (facts["languages"][0], facts["languages"][1]), facts["direction"])
        if codec.vocab_size != config.vocab_size:
            raise ModelError(f"{directory}: tokenizer and model do not belong together; copy both again")
        return cls(
            model,
            codec,
            ratio=float(facts["ratio"]),
            beams=int(facts["beams"]),
            length_penalty=float(facts["length_penalty"]),
            longest=int(facts["longest"]),
        )


def _read_facts(path: Path) -> dict[str, Any]:
    facts = read_json(path)
    kinds = {
        "model": dict,
        "languages": list,
        "direction": str,
        "tokenizer": str,
        "ratio": float,
        "longest": int,
    }
    if facts.get("format_version") != FORMAT_VERSION:
        raise ModelError(f"{path} is damaged or of another version of wenmo; train again")
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind):
            raise ModelError(f"{path} is damaged: {name!r} is missing; copy the model again")
    return facts
