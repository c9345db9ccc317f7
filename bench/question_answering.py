"""Question answering on CMRC 2018, DRCD and XQuAD: a reader trained from nothing in an hour, beside its baselines.

Trained on the questions of CMRC 2018 dev and DRCD dev (split by article into train and dev; dev chooses the weights and
the threshold) and on questions made from the passages of the training articles and, for English, from the passages of
XQuAD en without its questions (XQuAD zh is a translation of them). Tested on DRCD test, CMRC 2018 trial, XQuAD zh and
XQuAD en. DRCD's dev and test share two thirds of their articles (no passage), so the score on test articles that are
not in dev stands beside.
Run: python bench/question_answering.py [--data DIR] [--minutes 45] [--searched 600] [--only retrieval]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch

from _data import shared_data
from _record import record
from wenmo.answering.baselines import sentence_answers
from wenmo.answering.examples import Example, load_squad, without_answer
from wenmo.answering.experiment import mostly_chinese, passage_texts, score_all
from wenmo.answering.network import ReaderConfig
from wenmo.answering.pretraining import made_questions
from wenmo.answering.reader import Reader
from wenmo.answering.scores import score_answers
from wenmo.answering.searching import fit_combination
from wenmo.answering.training import ReaderSettings, score_reader, train_reader
from wenmo.examples import split_groups
from wenmo.retrieval import mean_reciprocal_rank, recall_at
from wenmo.retrieval.bm25 import Index
from wenmo.retrieval.building import index_texts
from wenmo.retrieval.scores import first_rank

TESTS = {
    "DRCD test": "DRCD_test.json",
    "CMRC 2018 trial": "cmrc2018_trial.json",
    "XQuAD zh": "xquad.zh.json",
    "XQuAD en": "xquad.en.json",
}
TRAIN = ("cmrc2018_dev.json", "DRCD_dev.json")


def contexts(examples: list[Example]) -> list[str]:
    return list(dict.fromkeys(example.context for example in examples))


def retrieval(examples: list[Example], index: Index) -> dict[str, float]:
    where = {text: number for number, text in enumerate(passage_texts(index))}
    ranks = [
        first_rank([p.number for p in index.search(e.question, 20)], {where[e.context]}) for e in examples
    ]
    found = {f"recall_{k}": round(100 * recall_at(k, ranks), 2) for k in (1, 5, 20)}
    return found | {"mean_reciprocal_rank": round(100 * mean_reciprocal_rank(ranks), 2)}


def peer_retrieval(examples: list[Example]) -> dict[str, float]:
    """The same with bm25s as its documentation shows it: words of its own pattern, English stop words."""
    import bm25s

    passages = contexts(examples)
    where = {text: number for number, text in enumerate(passages)}
    peer = bm25s.BM25()
    peer.index(bm25s.tokenize(passages, stopwords="en", show_progress=False), show_progress=False)
    asked = bm25s.tokenize([e.question for e in examples], stopwords="en", show_progress=False)
    found, _ = peer.retrieve(asked, k=20, show_progress=False)
    ranks = [first_rank(row.tolist(), {where[e.context]}) for row, e in zip(found, examples, strict=True)]
    return {f"recall_{k}": round(100 * recall_at(k, ranks), 2) for k in (1, 5, 20)}


def rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in scores.items()}


def on_passage(reader: Reader, examples: list[Example], index: Index) -> dict[str, Any]:
    """Scores on the right passage, and those of the sentence with the most overlap."""
    chinese = mostly_chinese(examples)
    sentences = sentence_answers([(e.question, e.context) for e in examples], index.idf)
    base = score_answers(sentences, [e.texts for e in examples], chinese)
    start = time.perf_counter()
    scores = score_reader(reader, examples)
    seconds = time.perf_counter() - start
    return {
        "questions": scores.count,
        "f1": round(scores.f1, 2),
        "standard_error": round(scores.error, 2),
        "exact": round(scores.exact, 2),
        "sentence_f1": round(base.f1, 2),
        "sentence_exact": round(base.exact, 2),
        "questions_per_second": round(scores.count / seconds, 1),
    }


def trained(
    train: list[Example], dev: list[Example], english: list[str], options: argparse.Namespace
) -> tuple[Reader, dict[str, Any]]:
    """Trains a reader in the given minutes, the making of questions included."""
    start = time.monotonic()
    made = made_questions([*contexts(train), *english], options.made, options.seed)
    wrong = without_answer(train, contexts(train), 0.15, options.seed)
    settings = ReaderSettings(
        seconds=options.minutes * 60 - (time.monotonic() - start),
        made_share=options.made_share,
        made_mixed=options.made_mixed,
        seed=options.seed,
        evaluations=14,
        dev_questions=500,
    )
    reader, run = train_reader(
        [*train, *wrong],
        dev,
        settings,
        made=made,
        config=ReaderConfig(vocab_size=0, dropout=options.dropout),
        say=lambda line: print(line, flush=True),
    )
    curve = [{k: round(v, 3) if isinstance(v, float) else v for k, v in p.items()} for p in run.curve]
    reader.info = {
        "minutes": round((time.monotonic() - start) / 60, 2),
        "processor_minutes": round(time.process_time() / 60, 2),
        "train_questions": len(train),
        "wrong_passages": len(wrong),
        "dev_questions": len(dev),
        "made_questions": len(made),
        "made_share": options.made_share,
        "made_mixed": options.made_mixed,
        "threads": torch.get_num_threads(),
        "curve": curve,
    }
    if options.save:
        reader.save(options.save)
    return reader, reader.info


def row(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """One line of the table: everything that was measured on a test set."""
    right, asked, alone = found["right_passage"], found["end_to_end"], found["end_to_end_sentence"]
    own, pool = found["retrieval_own_passages"], found.get("retrieval_all_chinese_passages", {})
    unseen = found.get("articles_not_in_dev", {})
    return {
        "test": name,
        "questions": right["questions"],
        "F1": right["f1"],
        "standard error": right["standard_error"],
        "exact": right["exact"],
        "F1, articles without training questions": unseen.get("f1"),
        "their questions": unseen.get("questions"),
        "F1 of the best sentence": right["sentence_f1"],
        "questions/s": right["questions_per_second"],
        "passages": own["passages"],
        **{f"recall@{k}": own[f"recall_{k}"] for k in (1, 5, 20)},
        "recall@5, all Chinese passages": pool.get("recall_5"),
        "recall@5, bm25s with its own pattern": found["bm25s_default_pattern"]["recall_5"],
        "asked end to end": asked["questions"],
        "F1 end to end, refusals 0": asked["end_to_end_f1"],
        "F1 end to end, always answered": asked["always_answered_f1"],
        "refused without an answer, %": asked["refused"],
        "F1 of retrieval alone": alone["end_to_end_f1"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data("qa"))
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument(
        "--searched", type=int, default=600, help="test questions asked of the whole index, each set"
    )
    parser.add_argument("--made", type=int, default=80_000)
    parser.add_argument("--made-share", type=float, default=ReaderSettings.made_share)
    parser.add_argument("--made-mixed", type=float, default=ReaderSettings.made_mixed)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for the reader")
    parser.add_argument(
        "--reader", type=Path, help="folder of a reader that --save wrote: score it, train none"
    )
    parser.add_argument("--only", choices=["retrieval"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not (options.data / TRAIN[0]).exists():
        sys.exit("skipped: the question files are not there; give their folder with --data")
    material = [example for name in TRAIN for example in load_squad(options.data / name)]
    tests = {name: load_squad(options.data / file) for name, file in TESTS.items()}
    split = split_groups([f"{e.source} {e.group}" for e in material], valid=0.1, test=0.0, seed=0)
    train, dev = [material[i] for i in split.train], [material[i] for i in split.valid]
    own = {name: index_texts(contexts(examples)) for name, examples in tests.items()}
    pool = index_texts(contexts([*material, *(e for n, s in tests.items() if n != "XQuAD en" for e in s)]))
    found: dict[str, dict[str, Any]] = {
        name: {
            "retrieval_own_passages": {"passages": len(own[name]), **retrieval(examples, own[name])},
            "bm25s_default_pattern": peer_retrieval(examples),
        }
        | (
            {}
            if name == "XQuAD en"
            else {"retrieval_all_chinese_passages": {"passages": len(pool), **retrieval(examples, pool)}}
        )
        for name, examples in tests.items()
    }
    for name, measured in found.items():
        print(name, measured, flush=True)
    if options.only == "retrieval":
        return
    reader, facts = (
        trained(train, dev, contexts(tests["XQuAD en"]), options)
        if options.reader is None
        else ((kept := Reader.load(options.reader)), kept.info)
    )
    dev_index = index_texts(contexts(material))
    combination = fit_combination(reader, dev_index, dev)
    known = {e.group for e in material if "DRCD" in e.source}
    for name, examples in tests.items():
        measured = found[name]
        measured["right_passage"] = on_passage(reader, examples, own[name])
        if name == "DRCD test":
            measured["articles_not_in_dev"] = on_passage(
                reader, [e for e in examples if e.group not in known], own[name]
            )
        # The questions are taken from all over the file, not from its first articles.
        step = max(1, len(examples) // options.searched)
        scored = score_all(reader, combination, own[name], examples[::step][: options.searched])
        measured["end_to_end"] = {"questions": scored.searched, **rounded(scored.scores)}
        measured["end_to_end_sentence"] = rounded(scored.sentence)
        print(name, measured, flush=True)
    drcd = found["DRCD test"]
    recall = min(m["retrieval_own_passages"]["recall_5"] for m in found.values())
    record(
        "question_answering",
        claim="A reader trained from nothing within an hour on two cores reaches a character F1 of 50 on DRCD test, "
        "and retrieval finds the right passage among the first five for 95 % of the questions.",
        packages=("torch", "numpy", "opencc", "rjieba", "bm25s"),
        path=options.out,
        parameters=sum(p.numel() for p in reader.network.parameters()),
        training=facts,
        combination=combination.model_dump(),
        rows=[row(name, measured) for name, measured in found.items()],
        verdict=f"F1 {drcd['right_passage']['f1']} on DRCD test ({drcd['articles_not_in_dev']['f1']} on articles "
        f"without a training question) after {facts['minutes']:.0f} minutes; recall@5 at least {recall} %.",
    )


if __name__ == "__main__":
    main()
