"""Are the keywords better than those of the usual tools? CSL (Chinese) and Inspec (English) abstracts with their keys.

Protocol: the first k different phrases of each document against all keys of its author (also those that do not stand in
the text); a phrase is right when it equals a key after lower-casing and, in English, Porter stemming word by word
(hyphens split), in Chinese without white space. F1@k with precision over k, averaged over documents (macro).

Chinese: CSL's test part (1,000 abstracts); English: 500 of the 2,000 Inspec abstracts, drawn with seed 0 (the archive
has no split; its keys are the controlled and the uncontrolled ones together). The weights of wenmo, about a dozen
for each language, were fitted on CSL's development part and the other 1,500 Inspec abstracts; `--fit` repeats that and
prints them. The peers learn nothing.

Peers: jieba 0.42.1 (TF-IDF, TextRank), YAKE on segmented text, TF-IDF of words over the same documents. jieba, yake
(GPL) and snowballstemmer are found on the path or in `--libs`, a folder filled with `pip install --target`.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from _data import shared_data
from _record import record
from wenmo.semantics.background import Background
from wenmo.semantics.candidates import candidates
from wenmo.semantics.keywords import extract
from wenmo.semantics.ranking import FEATURES, GRAPH_WEIGHT, UNUSED, features
from wenmo.semantics.tokens import content_words, tokens

Rows = list[tuple[str, list[str]]]
TOP = 12
INSPEC_TEST = 500


def csl(folder: Path, part: str) -> Rows:
    rows = []
    for line in (folder / f"csl.{part}.tsv").read_text("utf-8").splitlines():
        _, text, keys = line.split("\t")
        rows.append((text, keys.split("_")))
    return rows


def inspec(folder: Path) -> tuple[Rows, Rows]:
    """Training and test part."""
    texts: dict[str, str] = {}
    keys: dict[str, str] = {}
    with tarfile.open(folder / "inspec.tar.gz") as archive:
        for member in archive:
            place = {".txt": texts, ".key": keys}.get(Path(member.name).suffix)
            if member.isfile() and place is not None and ("docsutf8" in member.name or "keys" in member.name):
                place[Path(member.name).stem] = archive.extractfile(member).read().decode("utf-8", "replace")
    names = sorted(texts, key=int)
    random.Random(0).shuffle(names)
    rows = [(texts[n], [" ".join(k.split()) for k in keys[n].splitlines() if k.strip()]) for n in names]
    return rows[INSPEC_TEST:], rows[:INSPEC_TEST]


class Matching:
    """When a phrase is a key."""

    def __init__(self) -> None:
        self.stemmer = import_module("snowballstemmer").stemmer("porter")
        self.stems: dict[str, str] = {}

    def __call__(self, phrase: str) -> str:
        """Brings a phrase into the form that is compared."""
        phrase = phrase.lower().strip()
        if re.search("[\u4e00-\u9fff]", phrase):
            return re.sub(r"\s+", "", phrase)
        return " ".join(
            self.stems.setdefault(w, self.stemmer.stemWord(w)) for w in re.findall(r"\w+", phrase)
        )


def f1(found: Sequence[str], keys: Sequence[str], k: int, same: Matching) -> float:
    first = list(dict.fromkeys(map(same, found)))[:k]
    wanted = set(map(same, keys))
    hits = sum(phrase in wanted for phrase in first)
    return 2 * hits / (k + len(wanted)) if hits else 0.0


def tfidf(rows: Rows) -> Callable[[str], list[str]]:
    """Content words by TF-IDF over the documents themselves."""
    from collections import Counter

    frequencies = Counter(word for text, _ in rows for word in set(content_words(text)))

    def ranked(text: str) -> list[str]:
        counts = Counter(content_words(text))
        worth = {w: n * np.log(len(rows) / frequencies[w]) for w, n in counts.items()}
        return sorted(worth, key=lambda w: -worth[w])[:TOP]

    return ranked


def systems(
    language: str, rows: Rows, learned: Rows, missing: list[str]
) -> dict[str, Callable[[str], list[str]]]:
    """Everything that is compared on one language."""
    background = Background.of(tokens(text) for text, _ in learned)
    batch = Background.of(tokens(text) for text, _ in rows)
    nothing = Background()
    found: dict[str, Callable[[str], list[str]]] = {
        "wenmo, one document alone": lambda t: [k.text for k in extract(t, nothing, top=TOP)],
        "wenmo, the documents together": lambda t: [k.text for k in extract(t, batch, top=TOP)],
        "wenmo, background of other documents": lambda t: [k.text for k in extract(t, background, top=TOP)],
        "wenmo, the documents together, repeats kept": lambda t: [
            k.text for k in extract(t, batch, top=TOP, overlap=0.0)
        ],
        "TF-IDF of words": tfidf(rows),
    }
    try:
        jieba = import_module("jieba")
        jieba.setLogLevel(60)
        analyse = import_module("jieba.analyse")
        if language == "zh":
            found["jieba TF-IDF"] = lambda t: analyse.extract_tags(t, topK=TOP)
            found["jieba TextRank"] = lambda t: analyse.textrank(t, topK=TOP)
    except ImportError as error:
        missing.append(f"jieba: {error}")
    try:
        extractor = import_module("yake").KeywordExtractor(lan=language, n=3, top=TOP)
        if language == "en":
            found["YAKE"] = lambda t: [phrase for phrase, _ in extractor.extract_keywords(t)]
        else:
            jieba = import_module("jieba")
            found["YAKE on segmented text"] = lambda t: [
                phrase.replace(" ", "") for phrase, _ in extractor.extract_keywords(" ".join(jieba.cut(t)))
            ]
    except ImportError as error:
        missing.append(f"YAKE: {error}")
    return found


def fit(language: str, rows: Rows, same: Matching) -> tuple[float, ...]:
    """Fits the weights: logistic regression on all candidates, with and without a background."""
    from sklearn.linear_model import LogisticRegression

    script = {"zh": "han", "en": "latin"}[language]
    held = [i for i, name in enumerate(FEATURES) if name in UNUSED[script] or name == "graph"]
    own = Background.of(tokens(text) for text, _ in rows)
    described, right = [], []
    for background in (Background(), own):
        for text, keys in rows:
            read = tokens(text)
            found = list(candidates(text, read).values())
            values = features(found, read, background)
            wanted = set(map(same, keys))
            for candidate, row in zip(found, values, strict=True):
                if ("han" in candidate.kinds) == (script == "han"):
                    described.append(row)
                    right.append(same(candidate.text) in wanted)
    matrix = np.array(described)
    graph = FEATURES.index("graph")
    mean_graph = matrix[:, graph].mean()
    matrix[:, held] = 0
    mean, deviation = matrix.mean(0), matrix.std(0) + 1e-9
    model = LogisticRegression(C=0.05, max_iter=200).fit((matrix - mean) / deviation, right)
    weights = model.coef_[0] / deviation
    intercept = model.intercept_[0] - (weights * mean).sum() - GRAPH_WEIGHT * mean_graph
    weights[graph] = GRAPH_WEIGHT
    return tuple(round(float(value), 3) for value in (intercept, *weights))


def main() -> None:
    """Runs everything and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data("keywords"))
    parser.add_argument("--libs", type=Path, help="folder with jieba, yake and snowballstemmer")
    parser.add_argument(
        "--fit", action="store_true", help="fit the weights and print them, and do nothing else"
    )
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.libs:
        sys.path.append(str(options.libs))
    if not (options.data / "csl.test.tsv").is_file():
        sys.exit(
            f"skipped: {options.data} has no csl.test.tsv and inspec.tar.gz; name their folder with --data"
        )
    try:
        same = Matching()
    except ImportError:
        sys.exit(
            "skipped: keys are matched by stems; pip install --target FOLDER snowballstemmer, and --libs FOLDER"
        )
    learned, test = inspec(options.data)
    parts = {"zh": (csl(options.data, "dev"), csl(options.data, "test")), "en": (learned, test)}
    if options.fit:
        for language, (rows, _) in parts.items():
            print(language, fit(language, rows, same))
        return
    missing: list[str] = []
    lines: list[dict[str, Any]] = []
    best: dict[str, bool] = {}
    for language, (rows, held_out) in parts.items():
        scores: dict[str, tuple[float, float]] = {}
        for name, system in systems(language, held_out, rows, missing).items():
            started = time.perf_counter()
            answers = [system(text) for text, _ in held_out]
            seconds = time.perf_counter() - started
            at = [100 * float(np.mean([f1(a, keys, k, same) for a, (_, keys) in zip(answers, held_out, strict=True)]))
                  for k in (5, 10)]  # fmt: skip
            scores[name] = (at[0], at[1])
            data = "CSL test" if language == "zh" else "Inspec"
            lines.append({"data": data, "system": name, "F1@5": round(at[0], 2), "F1@10": round(at[1], 2),
                          "ms a document": round(1000 * seconds / len(held_out), 2)})  # fmt: skip
            print(lines[-1], flush=True)
        peers = [value for name, value in scores.items() if not name.startswith("wenmo")]
        ours = scores["wenmo, one document alone"]
        best[language] = all(ours[i] > max(p[i] for p in peers) for i in (0, 1))
    record(
        "keywords",
        claim="Keywords have the best F1@5 and F1@10 of the run in both languages, each document alone.",
        packages=("numpy", "scikit-learn", "rjieba"),
        path=options.output,
        protocol="first k different phrases against all author keys, Porter stems in English; mean F1 of documents",
        rows=lines,
        not_run=missing or None,
        verdict=f"Chinese: {'best' if best['zh'] else 'not best'}; English: {'best' if best['en'] else 'not best'}.",
    )


if __name__ == "__main__":
    main()
