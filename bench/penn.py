"""Penn Treebank: test perplexity of words after a given time, beside the published ones.

The text is that of Mikolov (10,000 words, numbers as N, rare words as <unk>) with its own held-out files. wenmo reads
it as any other text, in pieces of words, and knows nothing of the closed vocabulary, so it also predicts how words are
spelled; its nats for the whole test text, over the words and ends of lines, give the perplexity that others state.

    python bench/penn.py --folder ptb --budget 60m --threads 1
    python bench/penn.py --folder ptb --budget 60m --model runs/ptb     # of one that was trained so already

What is not known here, as `--tokenizer.vocab-size 8192`, is handed to `wenmo train`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from _data import shared_data
from _record import record
from _run import wenmo
from wenmo.models.storage import load_model

PUBLISHED = {
    "medium LSTM (Zaremba et al. 2014)": 82.7,
    "AWD-LSTM (Merity et al. 2017)": 57.3,
    "AWD-LSTM with a cache": 52.8,
}


BOUND_OF_AN_HOUR, BOUND_OF_MORE = 75, 57
"""What an hour, and what a longer time, must stay below."""


def trained(folder: Path, budget: str, threads: int | None, model: Path, more: list[str]) -> dict[str, Any]:
    """Trains on the text with its held-out files."""
    corpus = f"{model}.corpus"
    files = {split: str(folder / f"ptb.{split}.txt") for split in ("train", "valid", "test")}
    wenmo("prepare", files["train"], "--valid", files["valid"], "--test", files["test"], "-o", corpus)
    shared = ["--training.threads", str(threads)] if threads else []
    return wenmo("train", corpus, "-o", str(model), "--budget", budget, *shared, *more)


def main() -> None:
    """Trains, or reads what was trained, and records the perplexities."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="with ptb.train.txt, ptb.valid.txt and ptb.test.txt")
    parser.add_argument("--budget", default="60m")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, help="folder that keeps the model")
    parser.add_argument("--model", type=Path, help="trained already on this text; nothing is trained")
    options, more = parser.parse_known_args()
    folder = options.folder or shared_data("lm", "ptb")
    test = folder / "ptb.test.txt"
    if not test.is_file():
        parser.exit(message=f"skipped: {test} not found; name its folder\n")
    lines = test.read_text("utf-8").splitlines()
    words = sum(len(line.split()) + 1 for line in lines)
    if options.model:
        result = load_model(options.model).info["scores"]
    else:
        with tempfile.TemporaryDirectory() as name:
            kept = options.output or Path(name) / "model"
            result = trained(folder, options.budget, options.threads, kept, more)

    def perplexity(bits_per_byte: float) -> float:
        return round(float(2.0 ** (bits_per_byte * result["bytes"] / words)), 1)

    scores = {"wenmo, learning on": result["bits_per_byte"], "wenmo, frozen": result["static_bits_per_byte"]}
    scores |= {f"{name} alone, frozen": value for name, value in result["members"].items()}
    scores |= {f"{name}, learning on": value for name, value in result["baselines"].items()}
    rows: list[dict[str, Any]] = [
        {"model": name, "bits per byte": round(value, 4), "perplexity of words": perplexity(value)}
        for name, value in scores.items()
    ]
    rows += [
        {"model": name, "bits per byte": "", "perplexity of words": value}
        for name, value in PUBLISHED.items()
    ]
    best = perplexity(result["bits_per_byte"])
    minutes = result["seconds"] / 60
    an_hour = result["budget"] <= 3600
    bound = BOUND_OF_AN_HOUR if an_hour else BOUND_OF_MORE
    record(
        "penn" if an_hour else "penn_longer",
        claim=f"Below {bound} on the test text after {'an hour' if an_hour else 'a longer time'}.",
        rows=rows,
        verdict=f"{best} after {minutes:.1f} minutes: {'reached' if best < bound else 'not reached'}.",
        budget_s=result["budget"],
        seconds=result["seconds"],
        words=words,
        parameters=result["parameters"],
    )
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
