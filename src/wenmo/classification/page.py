"""The words that decided, marked in the text: for the terminal and as a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from wenmo.classification.attribution import Explanation
from wenmo.classification.classifier import Verdict

_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.7 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; margin: 2rem auto;
  max-width: 46rem; padding: 0 1rem; color: #1b1b1b; background: #fff }}
article {{ border-top: 1px solid #ccc; padding: .8rem 0 }}
h2 {{ font-size: 1rem; margin: 0 }} p {{ margin: .3rem 0; overflow-wrap: anywhere; white-space: pre-wrap }}
mark {{ color: inherit; border-radius: .2em; padding: .05em 0 }}
small {{ color: #555 }}
@media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #181818 }} small {{ color: #aaa }} }}
</style></head><body>
<h1>{title}</h1>
<p>Green words speak for the label that was given, red ones against it; the stronger the colour, the more a word weighs.
Point at a word for its share of the log-odds.</p>
{articles}
</body></html>
"""


def marked(explanation: Explanation, text: str) -> str:
    """The text as HTML with its words coloured by what they add; everything of the text is escaped."""
    largest = max((abs(value) for *_, value in explanation.words), default=0.0) or 1.0
    pieces, done = [], 0
    for word, begin, end, value in explanation.words:
        pieces.append(escape(text[done:begin]))
        strength = abs(value) / largest
        if strength < 0.05:
            pieces.append(escape(word))
        else:
            colour = "0,150,60" if value > 0 else "210,40,40"
            pieces.append(
                f'<mark style="background:rgba({colour},{0.08 + 0.5 * strength:.2f})" title="{value:+.2f}">'
                f"{escape(word)}</mark>"
            )
        done = end
    pieces.append(escape(text[done:]))
    return "".join(pieces)


def article(text: str, verdict: Verdict, explanation: Explanation, truth: str | None = None) -> str:
    """One text with its verdict, as HTML."""
    said = f"{escape(verdict.label)} <small>{verdict.probability:.0%}"
    if truth is not None and truth != verdict.label:
        said += f", labelled {escape(truth)}"
    return f"<article><h2>{said}</small></h2><p>{marked(explanation, text)}</p></article>"


def page(articles: Sequence[str], title: str, language: str = "en") -> str:
    """A page that refers to nothing outside itself."""
    return _PAGE.format(title=escape(title), language=language, articles="\n".join(articles))
