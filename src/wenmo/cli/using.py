"""The verbs `generate` and `evaluate`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wenmo.cli import STDIN
from wenmo.cli.options import Common, given, paths_given, plain
from wenmo.config import CorpusSettings, GenerationSettings
from wenmo.errors import InputError, OptionError

if TYPE_CHECKING:
    from wenmo.api import Model
    from wenmo.evaluation import Evaluation


def generate(
    model: str,
    prompt: str = "",
    /,
    *,
    more: Annotated[list[str] | None, Parameter(name="--model", negative=())] = None,
    weights: str | None = None,
    settings: Annotated[GenerationSettings | None, Parameter(name="*")] = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Write text with a model, or with several mixed.

    Args:
        model: Folder of a trained model.
        prompt: Text to continue; - reads it from standard input; nothing begins a document.
        more: Another model to mix in, with the same tokenizer; may be given several times.
        weights: Weight of each model, such as 0.7,0.3; equal when not given.
        settings: What is generated; defaults saved with the model go before those shown here.
        common: Options of every verb.
    """
    from wenmo.api import load

    names = [model, *(more or [])]
    loaded = load(*names, weights=_weights(weights, len(names)))
    text = _standard_input() if prompt == STDIN else prompt
    options = given(settings)
    if common.json:
        _print_completions(loaded, names, text, options)
    else:
        _print_text(loaded, text, options)


def _weights(text: str | None, models: int) -> list[float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise OptionError(f"--weights {text!r} are not numbers; write them like 0.7,0.3") from error
    if len(values) != models:
        raise OptionError(f"--weights has {len(values)} numbers for {models} models; give one for each")
    if min(values) < 0 or not 0 < sum(values) < float("inf"):
        raise OptionError(f"--weights {text!r} must be zero or more, and not all zero")
    return values


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError("standard input is not UTF-8 text; convert it, for example with iconv") from error


def _print_completions(model: Model, names: list[str], prompt: str, options: dict[str, Any]) -> None:
    from wenmo.cli.output import print_json

    started = time.monotonic()
    completions = model.generate(prompt, **options)
    seconds = time.monotonic() - started
    tokens = sum(len(completion.tokens) for completion in completions)
    print_json(
        {
            "models": names,
            "prompt": prompt,
            "completions": [asdict(completion) for completion in completions],
            "seconds": round(seconds, 4),
            "tokens_per_second": round(tokens / max(seconds, 1e-9), 2),
        }
    )


def _print_text(model: Model, prompt: str, options: dict[str, Any]) -> None:
    """Prints the new text: one sample as it is written; several, or the result of a search, when done."""
    if options.get("n", 1) == 1 and options.get("beams", 1) == 1:
        for piece in model.stream(prompt, **options):
            sys.stdout.write(piece)
            sys.stdout.flush()
        print()
        return
    completions = model.generate(prompt, **options)
    for number, completion in enumerate(completions, 1):
        if len(completions) > 1:
            print(f"--- {number} ---")
        print(completion.text)


def evaluate(
    model: str,
    paths: Annotated[list[str], Parameter(negative=())],
    /,
    *,
    corpus: CorpusSettings | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Score a model on text: bits per byte and perplexity beside PPMd, xz and an n-gram model.

    Args:
        model: Folder of a trained model.
        paths: Files, folders, globs, a prepared corpus, or - for standard input; all of the text is scored.
        corpus: How raw files become text.
        common: Options of every verb.
    """
    from wenmo.evaluation import evaluate as run

    result = run(
        model, paths_given(paths), plain(corpus, CorpusSettings, "--corpus."), progress=not common.quiet
    )
    if common.json:
        from wenmo.cli.output import print_json

        print_json(result)
    else:
        _print_evaluation(result)


def _print_evaluation(result: Evaluation) -> None:
    from wenmo.cli.output import print_scores
    from wenmo.progress import duration, quantity

    members = result.members if len(result.members) > 1 else {}
    baselines = {f"baseline {name}": score for name, score in result.baselines.items()}
    print_scores({"this model": result.bits_per_byte, **members, **baselines})
    print(f"perplexity {result.perplexity:.2f} per token of {result.bytes / max(result.tokens, 1):.2f} bytes")
    speed = f"{result.tokens_per_second:,.0f} tokens/s"
    print(f"{quantity(result.bytes, 'B')} in {duration(result.seconds)}, {speed}")
    print(f"protocol: {result.protocol}")
