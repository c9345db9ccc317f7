"""Small corpora of three subjects in both languages, made here."""

from __future__ import annotations

import random

SUBJECTS = {
    "zh": (
        ("酒店", "房间", "早餐", "前台", "入住", "服务员", "床单", "空调", "浴室", "退房"),
        ("电脑", "键盘", "屏幕", "电池", "内存", "硬盘", "散热", "显卡", "鼠标", "驱动"),
        ("小说", "作者", "故事", "情节", "人物", "章节", "出版社", "翻译", "封面", "读者"),
    ),
    "en": (
        ("hotel", "room", "breakfast", "lobby", "receptionist", "towel", "pillow", "bathroom", "elevator", "suite"),
        ("laptop", "keyboard", "battery", "screen", "memory", "processor", "touchpad", "charger", "driver", "cooling"),
        ("novel", "author", "chapter", "plot", "character", "publisher", "translation", "cover", "reader", "prose"),
    ),
}  # fmt: skip
JOINS = {
    "zh": ("的", "和", "，", "。", "很", "也"),
    "en": (" the ", " and ", ", ", ". The ", " of ", " with "),
}


def corpus(language: str, documents: int = 60, words: int = 14, seed: int = 0) -> tuple[list[str], list[int]]:
    """Documents and their subjects, in turn; each is words of one subject between function words."""
    chance = random.Random(f"{language}-{seed}")
    texts, subjects = [], []
    for i in range(documents):
        subject = i % len(SUBJECTS[language])
        drawn = chance.choices(SUBJECTS[language][subject], k=words)
        texts.append("".join(word + chance.choice(JOINS[language]) for word in drawn).strip() + ".")
        subjects.append(subject)
    return texts, subjects
