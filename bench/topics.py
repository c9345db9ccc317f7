"""Do topics by NMF hold together better than by LDA, and does segmentation matter? Coherence on documents, three seeds.

Chinese: CSL's development and test abstracts together (2,000); English: the 2,000 Inspec abstracts. The same content
words and vocabulary for NMF and LDA (scikit-learn); for Chinese also NMF on text split at spaces and punctuation, which
is what a library sees without segmentation. Coherence: mean NPMI of the ten heaviest words over whole documents; for
text that is not segmented its own units. A seed draws 1,600 of the documents and seeds the method; coherence is
counted over all.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from _data import shared_data
from _record import record
from keywords import csl, inspec
from wenmo.semantics.tokens import content_words
from wenmo.semantics.topics import fit_topics, quality
from wenmo.semantics.vectors import Vocabulary

SEEDS = (0, 1, 2)
NUMBERS = (10, 20)
SAMPLE = 1_600


def main() -> None:
    """Runs everything and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data("keywords"))
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if not (options.data / "csl.test.tsv").is_file():
        sys.exit(
            f"skipped: {options.data} has no csl.test.tsv and inspec.tar.gz; name their folder with --data"
        )
    texts = {
        "CSL": [text for part in ("dev", "test") for text, _ in csl(options.data, part)],
        "Inspec": [text for part in inspec(options.data) for text, _ in part],
    }
    lines: list[dict[str, Any]] = []
    for data, documents in texts.items():
        words = [content_words(text) for text in documents]
        runs: dict[str, tuple[Any, list[list[str]]]] = {"nmf": ("nmf", words), "lda": ("lda", words)}
        if data == "CSL":
            runs["nmf, not segmented"] = (
                "nmf",
                [[u for u in re.split(r"\W+", text) if u] for text in documents],
            )
        for number in NUMBERS:
            for name, (method, units) in runs.items():
                vocabulary = Vocabulary.of(units)
                scores, seconds = [], []
                for seed in SEEDS:
                    drawn = sorted(random.Random(seed).sample(range(len(units)), SAMPLE))
                    started = time.perf_counter()
                    topics = fit_topics(
                        [units[i] for i in drawn], number, method=method, seed=seed, vocabulary=vocabulary
                    )
                    seconds.append(time.perf_counter() - started)
                    scores.append(quality(topics, units))
                lines.append({"data": data, "topics": number, "method": name,
                    "coherence": round(mean(s["coherence"] for s in scores), 3),
                    "spread": round(pstdev([s["coherence"] for s in scores]), 3),
                    "diversity": round(mean(s["diversity"] for s in scores), 3),
                    "assigned": round(1 - mean(s["unassigned"] for s in scores), 3),
                    "words": len(vocabulary.words), "seconds": round(mean(seconds), 1)})  # fmt: skip
                print(lines[-1], flush=True)
    better = all(
        next(r["coherence"] for r in lines if (r["data"], r["topics"], r["method"]) == (data, number, "nmf"))
        > max(
            r["coherence"]
            for r in lines
            if (r["data"], r["topics"]) == (data, number) and r["method"] != "nmf"
        )
        for data in texts
        for number in NUMBERS
    )
    record(
        "topics",
        claim="NMF on segmented words has the most coherent topics, in Chinese and English.",
        packages=("numpy", "scikit-learn", "rjieba"),
        path=options.output,
        rows=lines,
        verdict="Best everywhere." if better else "Not best everywhere.",
    )


if __name__ == "__main__":
    main()
