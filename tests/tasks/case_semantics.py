"""The battery's case of semantic analysis."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "semantics"))

from subject_corpus import corpus

SETTINGS = {"budget": "60s", "topics": 3}
INPUTS = {
    "zh": ["酒店的房间很干净，早餐也好", "电脑的键盘和屏幕", "不知所云", "小说 novel 的作者"],
    "en": [
        "The hotel room and the breakfast",
        "keyboard and screen of the laptop",
        "zzz qqq",
        "novel 小说 author",
    ],
}


def write(folder, language):
    path = folder / f"{language}.jsonl"
    texts, _ = corpus(language, 45)
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    return [path]


def inputs(language):
    return INPUTS[language]


def words(model, language):
    return ["topics", model, INPUTS[language][0]]


def bad(folder):
    def made(name, content):
        path = folder / name
        path.write_text(content, encoding="utf-8")
        return [path]

    return [
        (made("one.txt", "只有一个文档\n"), {}, "several documents, and there is 1"),
        (made("points.txt", "...\n？？？\n"), {}, "no document has a word"),
        (made("few.txt", "酒店的早餐\n电脑的键盘\n小说的作者\n"), {"topics": 9}, "at most 3"),
        (made("same.txt", "酒店的早餐\n" * 5), {}, "several documents, and there is 1"),
        (made("columns.csv", "a,b\n酒店的早餐,1\n电脑的键盘,2\n"), {"text_field": "c"}, "no column 'c'"),
        (made("two.txt", "酒店的早餐\n电脑的键盘\n"), {"valid_fraction": 0.2}, "valid"),
        (made("gone.txt", "酒店的早餐\n电脑的键盘\n"), {"from_model": folder / "nowhere"}, "nowhere"),
    ]
