"""The verbs `generate` and `evaluate`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from wenmo.cli.inputs import is_corpus, read_prompt, whole_corpus
from wenmo.cli.options import Common, given
from wenmo.config import GenerationSettings
from wenmo.errors import OptionError

if TYPE_CHECKING:
    from wenmo.api import Model
    from wenmo.evaluation.evaluate import EvaluationResult


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
    loaded = load(*names, weights=_weights(weights))
    text = read_prompt(prompt)
    options = given(settings)
    if common.json:
        _print_completions(loaded, names, text, options)
    else:
        _print_text(loaded, text, options)


def _weights(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise OptionError(f"--weights {text!r} are not numbers; write them like 0.7,0.3") from error


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
    from wenmo.generation.options import resolve_settings

    settings = resolve_settings(options, model.generation)
    if settings.n == settings.beams == 1:
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
    model: Path,
    paths: Annotated[list[str], Parameter(negative=())],
    /,
    *,
    split: Literal["test", "valid", "train"] = "test",
    max_bytes: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    static: Annotated[bool, Parameter(negative=())] = False,
    baselines: bool = True,
    text_field: str | None = None,
    encoding: str | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Score a model on text: bits per byte and perplexity beside PPMd, xz and an n-gram model.

    Args:
        model: Folder of a trained model.
        paths: Files, folders, globs or - for standard input, scored whole; or a prepared corpus.
        split: Part of a prepared corpus that is scored.
        max_bytes: Most bytes of text to score.
        static: Keep an n-gram model (or member) from learning on from the text it scores.
        baselines: Also run PPMd, xz and an n-gram model on the text.
        text_field: Field or column that holds the text; guessed when not given.
        encoding: Encoding of the text files; detected per file when not given.
        common: Options of every verb.
    """
    from wenmo.evaluation.evaluate import evaluate as run
    from wenmo.evaluation.evaluate import training_texts
    from wenmo.models.storage import load_model

    loaded = load_model(model)
    with whole_corpus(paths, common, text_field=text_field, encoding=encoding) as corpus:
        result = run(
            loaded,
            corpus.texts(split if is_corpus(paths) else "train"),
            training=training_texts(loaded) if baselines else None,
            max_bytes=max_bytes,
            prequential=not static,
            with_baselines=baselines,
            progress=not common.quiet,
        )
    if common.json:
        from wenmo.cli.output import print_json

        print_json(result)
    else:
        _print_evaluation(result)


def _print_evaluation(result: EvaluationResult) -> None:
    from wenmo.cli.output import print_scores
    from wenmo.progress import duration, quantity

    baselines = {f"baseline {name}": score for name, score in result.baselines.items()}
    print_scores({"this model": result.bits_per_byte, **result.members, **baselines})
    print(f"perplexity {result.perplexity:.2f} per token of {result.bytes / max(result.tokens, 1):.2f} bytes")
    speed = f"{result.tokens_per_second:,.0f} tokens/s"
    print(f"{quantity(result.bytes, 'B')} in {duration(result.seconds)}, {speed}; {result.protocol}")
    if not result.complete:
        print("the text was longer than --max-bytes; the rest was left out")
    if result.baselines and not result.baselines_primed:
        print("the baselines did not read the training text first, since its corpus is not there any more")
