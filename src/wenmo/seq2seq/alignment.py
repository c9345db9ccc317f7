"""Which words of a source became which words of its translation, as data and as a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from wenmo.errors import OptionError
from wenmo.seq2seq.translator import Translator
from wenmo.text.scripts import han_share
from wenmo.text.segmentation import words


@dataclass(frozen=True)
class Alignment:
    """Words of both sides and how they belong together.

    Attributes:
        source: Words of the source.
        target: Words of the translation.
        weights: Share of attention of each target word on each source word, float32 (target, source); rows sum to 1.
    """

    source: list[str]
    target: list[str]
    weights: npt.NDArray[np.float32]

    @property
    def links(self) -> list[tuple[int, int]]:
        """(source word, target word): for each target word the source word it looks at most."""
        if not self.source:
            return []
        return [(int(best), row) for row, best in enumerate(self.weights.argmax(1))]


def align(
    translator: Translator, text: str, tokens: Sequence[int], *, backward: bool = False
) -> Alignment | None:
    """Aligns a source with a translation.

    Attention of tokens is summed over the source tokens of a word and averaged over the target tokens of a word.

    Args:
        translator: The translator.
        text: The source.
        tokens: Token ids of its translation.
        backward: From the second side to the first.

    Returns:
        The alignment; None for a model without attention.
    """
    weights = translator.attention(text, tokens, backward=backward)
    if weights is None:
        return None
    ids = translator.codec.encode([text.strip()])[0].tolist()
    pieces = translator.codec.tokenizer.token_bytes
    source, of_source = _words_of([pieces[i] for i in ids])
    target, of_target = _words_of([pieces[i] for i in tokens])
    table = weights.numpy() @ of_source.T
    table = (of_target @ table) / np.maximum(of_target.sum(1, keepdims=True), 1e-9)
    table = table / np.maximum(table.sum(1, keepdims=True), 1e-9)
    return Alignment(source, target, table.astype(np.float32))


def _words_of(tokens: list[bytes]) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Words of a token sequence, punctuation included, and the share of each token in them (words, tokens)."""
    text = b"".join(tokens).decode("utf-8", "replace")
    spans = _spans(text)
    # Byte offsets, because a token may be a part of a character.
    starts = np.concatenate(([0], np.cumsum([len(c.encode()) for c in text])))
    ends = np.cumsum([len(token) for token in tokens]) if tokens else np.zeros(0, int)
    begins = ends - np.array([len(token) for token in tokens], int)
    shares = np.zeros((len(spans), len(tokens)), np.float32)
    for row, (start, end) in enumerate(spans):
        overlap = np.minimum(ends, starts[end]) - np.maximum(begins, starts[start])
        shares[row] = np.maximum(overlap, 0) / np.maximum(ends - begins, 1)
    return [text[start:end] for start, end in spans], shares


def _spans(text: str) -> list[tuple[int, int]]:
    """Places of words and of marks between them; white space belongs to none."""
    spans: list[tuple[int, int]] = []
    place = 0
    for word in words(text):
        start = text.find(word, place)
        if start < 0:
            continue
        spans += _marks(text, place, start)
        spans.append((start, start + len(word)))
        place = start + len(word)
    return spans + _marks(text, place, len(text))


def _marks(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(start, end) if not text[i].isspace()]


_STYLE = """body{font:16px/1.5 system-ui,"PingFang SC","Noto Sans CJK SC",sans-serif;margin:2rem auto;max-width:70rem;
padding:0 1rem;color:#222;background:#fff}table{border-collapse:collapse;margin:.5rem 0 2rem}th{font-weight:400;
text-align:right;padding:.1rem .4rem;white-space:nowrap}thead th{writing-mode:vertical-rl;text-align:left}
td{width:1.8rem;height:1.8rem;border:1px solid #eee;font-size:.65rem;text-align:center;color:#fff}
p{margin:.2rem 0}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td{border-color:#333}}"""


def alignment_tables(alignments: Sequence[Alignment]) -> str:
    """Returns a table for each alignment as HTML; "" without any."""
    parts = []
    for alignment in alignments:
        head = "".join(f"<th{_lang(word)}>{escape(word)}</th>" for word in alignment.source)
        rows = []
        for word, line in zip(alignment.target, alignment.weights, strict=True):
            cells = "".join(
                f'<td title="{escape(source)} → {escape(word)}: {value:.0%}" '
                f'style="background:rgba(31,90,160,{min(float(value), 1.0):.2f})">'
                f"{round(100 * float(value)) or ''}</td>"
                for source, value in zip(alignment.source, line, strict=True)
            )
            rows.append(f"<tr><th{_lang(word)}>{escape(word)}</th>{cells}</tr>")
        parts.append(f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
    return "".join(parts)


def alignment_page(title: str, alignments: Sequence[Alignment]) -> str:
    """Returns one HTML document without references to anything outside: a table for each translated sentence."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        "<p>Each row is a word of the translation; the darker a cell, the more the model looked at that word of the "
        "source when it wrote it (per cent).</p>"
        f"{alignment_tables(alignments)}</body></html>\n"
    )


def pairs_page(translator: Translator, pairs: Sequence[tuple[str, str]], backward: bool) -> str:
    """Returns the page of texts and their translations.

    Raises:
        OptionError: When the model has no attention.
    """
    found = []
    for text, translation in pairs:
        ids = translator.codec.encode([translation])[0].tolist()
        if not ids or not text:
            continue
        alignment = align(translator, text, ids, backward=backward)
        if alignment is None:
            raise OptionError("--alignment: this model has no attention to show; leave it out")
        found.append(alignment)
    return alignment_page("Word alignment", found)


def _lang(word: str) -> str:
    return ' lang="zh"' if han_share(word) > 0.5 else ""
