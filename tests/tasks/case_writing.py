"""The tiny set of the task `writing`: what is bought where, and a conversation of two turns."""

import json

SETTINGS = {"size": "60k", "epochs": 2, "budget": "60s", "context": 64}
OPTIONAL = ("config.json", "generation_config.json")  # for other programs; wenmo reads wenmo.json

ZH = ("苹果", "米饭", "青菜", "豆腐", "面条", "红茶", "雨伞", "铅笔", "毛巾", "书本", "鸡蛋", "牛奶")
EN = (
    "apples",
    "rice",
    "cabbage",
    "tofu",
    "noodles",
    "tea",
    "umbrellas",
    "pencils",
    "towels",
    "books",
    "eggs",
    "milk",
)


def conversations(language):
    """Conversations of one and two turns."""
    found = []
    for number, thing in enumerate(ZH if language == "zh" else EN):
        for place in range(3):
            if language == "zh":
                ask, tell = f"{thing}在哪里买？第{place}次问。", f"{thing}在东街的店里买，{place + 2}元一份。"
                thank, end = "谢谢你！", f"不客气，{thing}很新鲜。"
            else:
                ask, tell = (
                    f"Where are {thing} sold? Time {place}.",
                    f"The shop in East Street sells {thing} for {place + 2}.",
                )
                thank, end = "Thank you!", f"You are welcome, the {thing} are fresh."
            turns = [("user", ask), ("assistant", tell)]
            if number % 2:
                turns += [("user", thank), ("assistant", end)]
            found.append([{"role": role, "content": content} for role, content in turns])
    return found


def write(folder, language):
    path = folder / "chat.jsonl"
    lines = [json.dumps({"messages": each}, ensure_ascii=False) for each in conversations(language)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path]


def inputs(language):
    question = "豆腐在哪里买？" if language == "zh" else "Where is tofu sold?"
    talk = [
        *conversations(language)[3],
        {"role": "user", "content": "再说一次。" if language == "zh" else "Again."},
    ]
    return [question, talk, "<|end|>"]


def words(model, language):
    return ["chat", model, "--message", inputs(language)[0], "--seed", "1", "--max-tokens", "8"]


def bad(folder):
    def file(name, *rows):
        path = folder / name
        path.write_text(
            "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8"
        )
        return [path]

    ask, tell = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    return [
        (file("few.jsonl", {"messages": [ask, tell]}), {}, "at least 10"),
        (file("noanswer.jsonl", {"messages": [ask]}), {}, "without an answer"),
        (file("order.jsonl", {"messages": [tell, ask, tell]}), {}, "roles out of order"),
        (file("role.jsonl", {"messages": [{"role": "dog", "content": "w"}, tell]}), {}, "unknown role 'dog'"),
        (file("broken.jsonl", "{", "{"), {}, "broken JSON"),
        (file("one.jsonl", {"text": "only one column"}), {}, "no column is known to hold what is asked"),
        (file("pair.csv", "prompt,completion", "a,"), {}, "an empty answer"),
        (file("named.csv", "prompt,completion", "a,b"), {"answer": "x"}, "no column 'x'"),
        (file("brace.csv", "prompt,completion", "a,b"), {"prompt": "no column"}, "names no column"),
        (
            file("base.csv", "prompt,completion", "a,b"),
            {"from_model": folder, "size": None},
            "neither wenmo.json",
        ),
        (
            file("idle.csv", "prompt,completion", "a,b"),
            {"from_model": folder, "size": "1M"},
            "--size is for a new model",
        ),
    ]
