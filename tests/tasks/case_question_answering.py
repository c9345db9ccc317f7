"""The case of question answering for the battery in tests/conformance/test_tasks.py."""

import json

SETTINGS = {
    "steps": 6,
    "hidden": 8,
    "made_questions": 40,
    "threads": 1,
    "valid_fraction": 0.2,
    "test_fraction": 0.2,
}
PEOPLE = {
    "zh": ["张伟", "王芳", "李娜", "刘洋", "陈静", "杨帆", "赵磊", "黄丽", "周强", "吴敏", "徐刚", "孙悦"],
    "en": ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "June", "Kai", "Lena"],
}
PLACES = {
    "zh": ["北京", "上海", "广州", "深圳", "成都", "杭州", "南京", "武汉", "西安", "重庆", "天津", "苏州"],
    "en": [
        "Paris",
        "Oslo",
        "Rome",
        "Cairo",
        "Lima",
        "Quito",
        "Delhi",
        "Tokyo",
        "Seoul",
        "Accra",
        "Minsk",
        "Porto",
    ],
}


def passages(language):
    for number, (person, place) in enumerate(zip(PEOPLE[language], PLACES[language], strict=True)):
        year = 1950 + number
        if language == "zh":
            text = f"{person}于{year}年出生在{place}，后来成为一名医生。{person}在医院工作，退休后种花。"
            yield text, [(f"{person}出生在哪里？", place), (f"{person}是哪一年出生的？", f"{year}年")]
        else:
            text = f"{person} was born in {place} in {year} and became a doctor. Later {person} taught."
            yield text, [(f"Where was {person} born?", place), (f"When was {person} born?", str(year))]


def squad(language):
    data = []
    for number, (text, questions) in enumerate(passages(language)):
        qas = [
            {"id": f"{number}-{i}", "question": q, "answers": [{"text": a, "answer_start": text.index(a)}]}
            for i, (q, a) in enumerate(questions)
        ]
        data.append({"title": f"{number}", "paragraphs": [{"context": text, "qas": qas}]})
    return {"version": "1", "data": data}


def write(folder, language):
    path = folder / f"{language}.json"
    path.write_text(json.dumps(squad(language), ensure_ascii=False), "utf-8")
    return [path]


def inputs(language):
    text, questions = next(iter(passages(language)))
    return [questions[0][0], {"question": questions[1][0], "context": text}, PEOPLE[language][3]]


def words(model, language):
    return ["ask", model, inputs(language)[0]]


def bad(folder):
    (folder / "nothing.csv").write_text("question,answer\n问题,\n,这个\n", "utf-8")
    (folder / "other.json").write_text('{"rows": []}', "utf-8")
    (folder / "columns.csv").write_text("left,right,3\na,b,5\nc,d,7\n", "utf-8")
    (folder / "pairs.csv").write_text("question,answer\nwhat,this\nwho,that\n", "utf-8")
    return [
        ([folder / "nothing.csv"], {}, "no question with an answer"),
        ([folder / "other.json"], {}, "no list 'data'"),
        ([folder / "columns.csv"], {}, "no column holds the question"),
        ([folder / "pairs.csv"], {"mode": "reader"}, "--documents"),
        ([folder / "pairs.csv"], {"mode": "faq", "documents": (str(folder),)}, "--documents"),
        ([folder / "missing.json"], {}, "cannot read"),
    ]
