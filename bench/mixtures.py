"""What mixing gains and costs: the average of probabilities and the logistic way, with the same members and bytes.

    wenmo train TEXT -o MODEL --training.steps 1100
    python bench/mixtures.py MODEL=HELD_OUT [MODEL=HELD_OUT ...] [--share 0.1]

MODEL is a mixture that `wenmo train` made, with its corpus beside it: the weights are fitted anew, in each way, on the
text that steered its training. The last share of HELD_OUT, a UTF-8 file, is scored; the model must not have read it.
PPMd reads the model's training text first.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from _record import record
from wenmo.corpus import Corpus
from wenmo.evaluation import baselines
from wenmo.models.likelihood import bits_per_byte
from wenmo.models.mixture import MixtureModel
from wenmo.models.storage import load_model


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="+", metavar="MODEL=HELD_OUT")
    parser.add_argument(
        "--share", type=float, default=0.1, help="share of each text, from its end, that is scored"
    )
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for case in options.cases:
        model, text = case.split("=", 1)
        if not Path(text).is_file():
            print(f"skipped: there is no {text}")
            continue
        results[Path(text).stem] = measure(Path(model), Path(text), options.share)
    if results:
        record(
            "mixtures",
            claim="The logistic way with a cache needs fewer bits than an average of the same members' probabilities.",
            packages=("torch", "numba"),
            results=results,
        )


def measure(folder: Path, path: Path, share: float) -> dict[str, Any]:
    """Bits per byte of the two ways, frozen and learning on, the gain of each member, and the seconds."""
    loaded = load_model(folder)
    model, tokenizer = loaded.model, loaded.tokenizer
    assert isinstance(model, MixtureModel) and tokenizer is not None, f"{folder} holds no mixture"
    corpus = Corpus.open(Path(loaded.info["corpus"]["path"]))
    text = path.read_text(encoding="utf-8")
    held_out = text[len(text) - int(share * len(text)) :]
    ids, steering = stream(tokenizer, [held_out]), stream(tokenizer, corpus.texts("valid"))
    num_bytes = len(held_out.encode())
    prior = baselines.documents_bytes(list(corpus.texts("train")))[-baselines.PRIMING_BYTES :]
    coded = baselines.documents_bytes([held_out])
    found: dict[str, Any] = {
        "bytes": num_bytes,
        "ppmd": baselines.ppmd(prior, coded) * len(coded) / num_bytes,
    }
    model.fit_weights(steering[:400])  # compiles what is not compiled yet
    for way in ("linear", "logistic"):
        started = time.process_time()
        model.fit_weights(steering, mixing=way)  # type: ignore[arg-type]
        fitted = time.process_time()
        frozen = model.evidence(ids, model.context_length, False)
        learning = model.evidence(ids, model.context_length, True, neural=frozen)
        scores = {
            "static": bits_per_byte(model.mix(frozen, False), num_bytes),
            "prequential": bits_per_byte(model.mix(learning, True), num_bytes),
        }
        seconds = {"fitting": fitted - started, "scoring": time.process_time() - fitted}
        gains = {
            name: bits_per_byte(np.array([nats]), num_bytes)
            for name, nats in model.gains(learning, True).items()
        }
        found[way] = {**scores, "gains": gains, "processor_seconds": seconds}
        print(path.stem, way, found[way], flush=True)
    return found


def stream(tokenizer: Any, texts: Any) -> np.ndarray:
    """Ids of documents, each with its end."""
    end = np.array([tokenizer.eos_id])
    return np.concatenate([piece for text in texts for piece in (tokenizer.encode(text), end)]).astype(
        np.int64
    )


if __name__ == "__main__":
    main()
