"""Labelled reviews for tests, in Chinese and English: sentences of our own, combined by a fixed seed."""

import random

PARTS = {
    "zh": {
        "pos": [
            "味道很好",
            "服务热情",
            "送得很快",
            "房间干净",
            "值得推荐",
            "下次还来",
            "非常满意",
            "又便宜又好",
        ],
        "neg": [
            "味道很差",
            "态度恶劣",
            "等了两个小时",
            "房间太脏",
            "不会再来",
            "非常失望",
            "又贵又难吃",
            "千万别买",
        ],
        "any": ["在车站旁边", "周末去的", "和朋友一起", "点了两份面", "是昨天下午", "第三次来这里"],
    },
    "en": {
        "pos": [
            "a lovely meal",
            "friendly staff",
            "arrived early",
            "very clean rooms",
            "highly recommended",
            "I loved it",
        ],
        "neg": [
            "a cold meal",
            "rude staff",
            "arrived two hours late",
            "dirty rooms",
            "never again",
            "I hated it",
        ],
        "any": [
            "near the station",
            "on a Saturday",
            "with two friends",
            "we ordered noodles",
            "my third visit",
        ],
    },
}


def reviews(language, count, seed=0, labels=("pos", "neg")):
    """`count` pairs of text and label, half of them of each; no text occurs twice."""
    choose = random.Random(f"{language}-{seed}")
    parts = PARTS[language]
    joint, end = ("，", "。") if language == "zh" else (", ", ".")
    made = {}
    while len(made) < count:
        label = labels[len(made) % len(labels)]
        said = choose.sample(parts[label], 2) + choose.sample(parts["any"], 2)
        choose.shuffle(said)
        made.setdefault(joint.join(said) + end, label)
    return list(made.items())
