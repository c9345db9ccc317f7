"""Text for tests, in Chinese and English alike: sentences of our own, combined by a fixed seed."""

import random

ENGLISH_SENTENCES = [
    "{who} walked along the river until the lamps were lit.",
    "In the morning {who} opened the window and counted {number} boats on the water.",
    '"I have never seen such rain," said {who}, closing the old umbrella.',
    "The letter came on a Tuesday; {who} read it twice and put it away.",
    "Nobody in the {place} remembered why the clock stopped at {number}.",
    "{who} planted beans behind the {place}, and by June they had reached the roof.",
    "If the train is late again, {who} will miss the beginning of the concert.",
    "There were {number} chairs in the {place}, but only one of them was warm.",
    "{who} bought bread, two lemons and a map of the northern islands.",
    "What does a {place} need most: light, quiet, or people who come back?",
    "The bridge near the {place} was repaired in {number} days, much to everyone's surprise.",
    "After dinner {who} told the story of the fox that learned to wait.",
]
CHINESE_SENTENCES = [
    "{who}沿着河边慢慢走，直到路灯一盏一盏亮起来。",
    "早上，{who}推开窗户，数了数水面上的{number}条小船。",
    "“这么大的雨，我还是头一回见。”{who}一边说，一边收起旧伞。",
    "信是星期二到的，{who}读了两遍，又把它放回抽屉里。",
    "{place}里没有人记得，那座钟为什么停在{number}点。",
    "{who}在{place}后面种了豆子，到了六月，藤已经爬上屋顶。",
    "如果火车再晚点，{who}就赶不上音乐会的开头了。",
    "{place}里有{number}把椅子，可是只有一把是暖的。",
    "{who}买了面包、两个柠檬，还有一张北方群岛的地图。",
    "一座{place}最需要什么？是光，是安静，还是愿意回来的人？",
    "{place}旁边的桥只用了{number}天就修好了，大家都很惊讶。",
    "晚饭以后，{who}讲起那只学会等待的狐狸的故事。",
]
ENGLISH_WORDS = {
    "who": ["Anna", "the old teacher", "my brother", "Mr. Lowe", "the baker", "a young doctor"],
    "place": ["library", "station", "garden", "harbour", "school", "tea house"],
    "number": ["three", "seven", "12", "twenty-four", "1,300"],
}
CHINESE_WORDS = {
    "who": ["小梅", "老教师", "我哥哥", "陆先生", "面包师傅", "一位年轻的医生"],
    "place": ["图书馆", "车站", "花园", "码头", "学校", "茶馆"],
    "number": ["三", "七", "12", "二十四", "一千三百"],
}


def documents(language: str, num_bytes: int, seed: int = 0) -> list[str]:
    """Documents of four to nine sentences, `num_bytes` of UTF-8 or slightly more in all; no two are equal."""
    choose = random.Random(f"{language}-{seed}")
    sentences = ENGLISH_SENTENCES if language == "en" else CHINESE_SENTENCES
    words = ENGLISH_WORDS if language == "en" else CHINESE_WORDS
    made: dict[str, None] = {}
    size = 0
    while size < num_bytes:
        count = choose.randint(4, 9)
        filled = [
            choose.choice(sentences).format(
                **{name: choose.choice(options) for name, options in words.items()}
            )
            for _ in range(count)
        ]
        text = " ".join(filled) if language == "en" else "".join(filled)
        if text not in made:
            made[text] = None
            size += len(text.encode())
    return list(made)
