"""The case of the task sentiment for `tests/conformance/test_tasks.py`."""

import csv

from reviews import reviews

SETTINGS = {"budget": "10s", "threads": 1}
TEXTS = {
    "zh": ["味道很好，下次还来！", "等了两个小时，非常失望"],
    "en": ["I loved it!", "rude staff, never again"],
}


def write(folder, language):
    path = folder / "reviews.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["评论", "标签"] if language == "zh" else ["review", "label"])
        writer.writerows(reviews(language, 60))
    return [str(path)]


def inputs(language):
    return [*TEXTS[language], "", "？！", TEXTS[language][0] * 30]


def words(model, language):
    return ["sentiment", model, *TEXTS[language]]


def bad(folder):
    def file(name, content):
        (folder / name).write_text(content, encoding="utf-8")
        return [str(folder / name)]

    rows = "\n".join(f"第{i}条评论很好,好" for i in range(20))
    return [
        (file("one.csv", f"text,label\n{rows}\n"), {}, "every row has the label '好'"),
        (file("few.csv", "text,label\na b,x\nc d,y\n"), {}, "2 labelled rows are too few"),
        (
            file("ids.csv", "text,label\n" + "\n".join(f"text {i},l{i}" for i in range(30))),
            {},
            "too many to learn",
        ),
        (file("lines.txt", "no label here\nnor here\n"), {}, "holds no labels"),
        (file("unlabelled.csv", "text\nno label here\n"), {}, "no column holds the label"),
        (
            file("empty_labels.csv", "text,label\n" + "\n".join(f"text {i}," for i in range(30))),
            {},
            "too few|no column",
        ),
        (
            file("columns.csv", f"text,label\n{rows}\n"),
            {"label_field": "sentiment"},
            "there is no column 'sentiment'",
        ),
        (
            file("ok.csv", f"text,label\n{rows}\n很差,差\n"),
            {"words": 0, "characters": 0},
            "leave nothing to count",
        ),
        (
            file("ok2.csv", f"text,label\n{rows}\n很差,差\n"),
            {"model": "linear", "from_model": str(folder)},
            "no use for",
        ),
    ]
