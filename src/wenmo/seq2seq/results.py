"""Translations as people and programs get them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from wenmo.seq2seq.alignment import align
from wenmo.seq2seq.documents import translate_document
from wenmo.seq2seq.scores import SAME_OUTPUT, unique_ratio
from wenmo.seq2seq.translator import Translation, Translator

MANY = 20
"""Translations from which on it is worth looking whether they differ."""


class TranslationResult(BaseModel):
    """A translated text."""

    model_config = ConfigDict(frozen=True)

    text: str
    """What was to be translated."""
    translation: str
    """Its translation."""
    confidence: float
    """Geometric mean of the probabilities of its tokens, 0 to 1; of several sentences the lowest."""
    complete: bool
    """False when it was cut because it grew too long."""
    alignment: list[tuple[str, str]] | None = None
    """(source word, word of the translation), when asked for and the model has attention."""


def translate_texts(
    translator: Translator,
    texts: Sequence[str],
    *,
    backward: bool = False,
    beams: int | None = None,
    length_penalty: float | None = None,
    alignment: bool = False,
    progress: bool = False,
) -> list[TranslationResult]:
    """Translates texts; one that is longer than all the model was trained on is translated by sentences and clauses.

    Args:
        translator: The translator.
        texts: Texts, most of them single sentences.
        backward: From the second side to the first.
        beams: Width of the beam; the translator's own when not given.
        length_penalty: The translator's own when not given.
        alignment: Whether words are aligned (not of texts that were cut).
        progress: Whether progress is shown.
    """

    def run(sentences: Sequence[str]) -> list[Translation]:
        return translator.translate(
            sentences, backward=backward, beams=beams, length_penalty=length_penalty, progress=progress
        )

    sizes = [len(ids) for ids in translator.codec.encode(list(texts))]
    short = [number for number, size in enumerate(sizes) if size < translator.longest]
    found: dict[int, Translation] = dict(zip(short, run([texts[i] for i in short]), strict=True))
    results = []
    for number, text in enumerate(texts):
        one = found.get(number) or _in_parts(translator, text, run)
        words = align(translator, text, one.tokens, backward=backward) if alignment and one.tokens else None
        links = None if words is None else [(words.source[s], words.target[t]) for s, t in words.links]
        results.append(
            TranslationResult(
                text=text,
                translation=one.text,
                confidence=round(one.confidence, 4),
                complete=one.complete,
                alignment=links,
            )
        )
    return results


def _in_parts(
    translator: Translator, text: str, run: Callable[[Sequence[str]], list[Translation]]
) -> Translation:
    """Translates a long text part by part."""
    parts: list[Translation] = []

    def sentences(pieces: Sequence[str]) -> list[str]:
        parts.extend(run(pieces))
        return [part.text for part in parts[-len(pieces) :]] if pieces else []

    whole = translate_document(text, sentences, size=translator.size, longest=translator.longest)
    lowest = min((part.confidence for part in parts), default=1.0)
    return Translation(whole, (), lowest, all(part.complete for part in parts))


def repetition(results: Sequence[TranslationResult]) -> str | None:
    """Returns a warning where many texts get the same few translations; None where they do not."""
    ratio = unique_ratio([one.text for one in results], [one.translation for one in results])
    if len(results) < MANY or ratio >= SAME_OUTPUT:
        return None
    return (
        f"warning: only {ratio:.0%} of the translations are different, so the model repeats itself; "
        "train it longer or with more pairs"
    )
