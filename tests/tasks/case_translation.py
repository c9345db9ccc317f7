"""Tiny pairs for the battery of tasks."""

SETTINGS = {
    "budget": "60s",
    "steps": 30,
    "layers": 1,
    "width": 32,
    "vocab_size": 400,
    "beams": 2,
    "batch_tokens": 256,
}
_NOUNS = {
    "cat": "猫",
    "dog": "狗",
    "bird": "鸟",
    "fish": "鱼",
    "horse": "马",
    "cow": "牛",
    "pig": "猪",
    "sheep": "羊",
}
_VERBS = {"sees": "看见", "likes": "喜欢", "follows": "跟着", "hears": "听见", "finds": "找到"}
_ENGLISH_TO_GERMAN = {
    "sees": "sieht",
    "likes": "mag",
    "follows": "verfolgt",
    "hears": "hört",
    "finds": "findet",
}
_GERMAN = {
    **{"cat": "Katze", "dog": "Hund", "bird": "Vogel", "fish": "Fisch", "horse": "Pferd", "cow": "Kuh"},
    **{"pig": "Schwein", "sheep": "Schaf"},
}


def pairs(language):
    """English to Chinese, or German to English."""
    found = []
    for one in _NOUNS:
        for verb in _VERBS:
            for other in _NOUNS:
                if one != other:
                    english = f"The {one} {verb} the {other}."
                    chinese = f"{_NOUNS[one]}{_VERBS[verb]}{_NOUNS[other]}。"
                    german = f"{_GERMAN[one]} {_ENGLISH_TO_GERMAN[verb]} {_GERMAN[other]}."
                    found.append((english, chinese) if language == "zh" else (german, english))
    return found


def write(folder, language):
    rows = pairs(language)
    if language == "zh":
        path = folder / "pairs.tsv"
        path.write_text("".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
        return [path]
    paths = [folder / "pairs.de", folder / "pairs.en"]
    for path, column in zip(paths, (0, 1), strict=True):
        path.write_text("".join(f"{row[column]}\n" for row in rows), encoding="utf-8")
    return paths


def inputs(language):
    return [row[0] for row in pairs(language)[:60:7]] + [
        "",
        "123 !",
        "完全不同的句子" if language == "zh" else "Ein Satz",
    ]


def words(model, language):
    return ["translate", model, pairs(language)[0][0], pairs(language)[9][0]]


def bad(folder):
    first = folder / "a.en"
    first.write_text("one\ntwo\nthree\n", encoding="utf-8")
    second = folder / "a.zh"
    second.write_text("一\n二\n", encoding="utf-8")
    single = folder / "single.csv"
    single.write_text("text\none\ntwo\n", encoding="utf-8")
    same = folder / "same.tsv"
    same.write_text("".join(f"line {n}\tline {n}\n" for n in range(30)), encoding="utf-8")
    empty = folder / "empty.tsv"
    empty.write_text("".join(f"line {n} \t\n" for n in range(30)) + "a\tb\n", encoding="utf-8")
    few = folder / "few.tsv"
    few.write_text("".join(f"{a}\t{b}\n" for a, b in pairs("zh")[:6]), encoding="utf-8")
    good = write(folder, "zh")
    return [
        ([first, second], {}, "3 lines and .*a.zh 2"),
        ([first], {}, "need two files"),
        ([single], {}, "two columns"),
        ([same], {}, "both sides identical"),
        ([empty], {}, "too few"),
        ([few], {}, "too few"),
        (good, {"source_field": "nowhere"}, "--source-field: there is no column 'nowhere'"),
        (
            good,
            {"from_model": folder / "nothing", "layers": None, "width": None, "vocab_size": None},
            "no model directory",
        ),
        (good, {"from_model": folder / "nothing"}, "--layers: with --from"),
    ]
