"""Questions made from raw text, for a reader that has few real ones.

Two kinds, half of each where the text allows:

- **Recurring spans** (Ram et al. 2021, "Few-Shot Question Answering by Pretraining Span Selection", Splinter): a phrase
  that stands in two sentences of a passage is taken out of one of them, which becomes the question; the passage is
  read without that sentence, and the answer is the phrase where it still stands.
- **Gaps**: a phrase is taken out of one sentence, a part of whose words is dropped and moved; the passage stays whole.
  It teaches what most questions need, finding the place that says the same in other words, and which kind of phrase a
  question word asks for (as the cloze questions of Lewis et al. 2019, "Unsupervised Question Answering by Cloze
  Translation").

A question word stands for the phrase, by its kind: a year, a number, a name, anything.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from wenmo.answering.examples import Example
from wenmo.answering.scores import is_chinese
from wenmo.answering.units import HAN, LATIN, MARK, NUMBER, Units, cut_units

_SHORTEST_SENTENCE = 8
_MOST_WORDS = 4
_ASKED_WORDS = 14
_CHINESE = {
    "year": ("哪一年", "何时", "什么时候", "哪年", "几月几日"),
    "number": ("多少", "几", "多少"),
    "name": ("谁", "什么", "哪个", "哪里", "哪一个", "何", "哪位"),
    "any": ("什么", "谁", "哪个", "何", "哪里", "哪一", "什么", "怎么", "为什么"),
}
_ENGLISH = {
    "year": ("when", "what year", "in what year", "when"),
    "number": ("how many", "how much", "what number of"),
    "name": ("who", "what", "which", "where", "what"),
    "any": ("what", "what", "which", "how", "why"),
}
_DATE = frozenset("年月日号時时")


def _kind(units: Units, first: int, last: int) -> str:
    kinds = units.kinds[first : last + 1]
    if (kinds == NUMBER).any():
        text = units.string(first, last)
        after = units.folded[last + 1] if last + 1 < len(units) else ""
        year = any(len(unit) == 4 and unit[0] in "12" for unit in units.folded[first : last + 1])
        return "year" if year or set(text + after) & _DATE else "number"
    if (kinds == LATIN).any() and units.string(first, last)[0].isupper():
        return "name"
    return "any" if last - first > 5 or not (kinds == HAN).all() else "name"


def _question_word(units: Units, first: int, last: int, chinese: bool, rng: random.Random) -> str:
    return rng.choice((_CHINESE if chinese else _ENGLISH)[_kind(units, first, last)])


def _words(units: Units, first: int, last: int) -> list[tuple[int, int]]:
    """The words of units first to last - 1, as first and last unit."""
    starts = [place for place in range(first, last) if units.begins[place] or place == first]
    return [(a, b - 1) for a, b in zip(starts, [*starts[1:], last], strict=bool(starts))]


def _ask(
    units: Units, sentence: tuple[int, int], gap: tuple[int, int], chinese: bool, rng: random.Random
) -> str:
    """Makes a question of a sentence without a phrase: some words near it, a question word in its place."""
    left = _words(units, sentence[0], gap[0])[-rng.randint(2, _ASKED_WORDS) :]
    right = _words(units, gap[1] + 1, sentence[1])[: rng.randint(2, _ASKED_WORDS)]
    dropped = rng.uniform(0.0, 0.5)
    parts = [
        [units.string(*word) for word in side if units.kinds[word[0]] != MARK and rng.random() >= dropped]
        for side in (left, right)
    ]
    asked = [_question_word(units, *gap, chinese, rng)]
    order = rng.random()
    if not chinese and order < 0.6:
        pieces = [*asked, *parts[1], *parts[0]] if order < 0.3 else [*asked, *parts[0], *parts[1]]
    elif order < 0.75:
        pieces = [*parts[0], *asked, *parts[1]]
    else:
        pieces = [*parts[1], *parts[0], *asked]
    return ("" if chinese else " ").join(pieces) + ("？" if chinese else "?")


def _sentences(units: Units) -> list[tuple[int, int]]:
    """Sentences as first unit and unit after the last."""
    found: list[tuple[int, int]] = []
    start = 0
    for place in range(1, len(units) + 1):
        if place == len(units) or units.sentence[place] != units.sentence[start]:
            found.append((start, place))
            start = place
    return found


def _phrase(
    units: Units, sentence: tuple[int, int], common: frozenset[str], rng: random.Random
) -> tuple[int, int] | None:
    """Draws a phrase of one to four words without a mark that does not begin or end with a common word."""
    words = _words(units, *sentence)
    for _ in range(8):
        at = rng.randrange(len(words))
        count = min(rng.choice((1, 1, 1, 2, 2, 3, 4)), _MOST_WORDS)
        taken = words[at : at + count]
        # Numbers are asked for far more often than they stand in a text.
        if units.kinds[taken[0][0]] not in (NUMBER, LATIN) and rng.random() < 0.3:
            continue
        first, last = taken[0][0], taken[-1][1]
        if (units.kinds[first : last + 1] == MARK).any():
            continue
        if units.words[first] in common or units.words[last] in common:
            continue
        return first, last
    return None


def _recurring(units: Units, common: frozenset[str]) -> list[list[tuple[int, int]]]:
    """Phrases of one to four words that stand in two sentences or more, the longest at each place only."""
    sentence_of = units.sentence
    words = _words(units, 0, len(units))
    places: defaultdict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for at, (first, _) in enumerate(words):
        if units.words[first] in common or units.kinds[first] == MARK:
            continue
        for count in range(1, _MOST_WORDS + 1):
            last = words[min(at + count, len(words)) - 1][1]
            if (
                at + count > len(words)
                or units.kinds[last] == MARK
                or sentence_of[last] != sentence_of[first]
            ):
                break
            if units.words[last] not in common:
                places[tuple(units.folded[first : last + 1])].append((first, last))
    found: list[list[tuple[int, int]]] = []
    taken: set[int] = set()
    for phrase in sorted(places, key=len, reverse=True):
        spans = [span for span in places[phrase] if not taken & set(range(span[0], span[1] + 1))]
        if len({int(sentence_of[first]) for first, _ in spans}) > 1 and len("".join(phrase)) > 1:
            found.append(spans)
            taken.update(place for first, last in spans for place in range(first, last + 1))
    return found


def _recurring_question(
    units: Units,
    sentences: Sequence[tuple[int, int]],
    spans: list[tuple[int, int]],
    chinese: bool,
    rng: random.Random,
) -> Example | None:
    gap = rng.choice(spans)
    sentence = next(s for s in sentences if s[0] <= gap[0] < s[1])
    rest = [span for span in spans if not sentence[0] <= span[0] < sentence[1]]
    if not rest or sentence[1] - sentence[0] < _SHORTEST_SENTENCE:
        return None
    question = _ask(units, sentence, gap, chinese, rng)
    start = int(units.starts[sentence[0]])
    end = int(units.starts[sentence[1]]) if sentence[1] < len(units) else len(units.text)
    context = units.text[:start] + units.text[end:]
    answers = []
    for first, last in rest:
        a, b = int(units.starts[first]), int(units.ends[last])
        answers.append((a, b) if a < start else (a - (end - start), b - (end - start)))
    return Example(question, context, tuple(answers), source="made from recurring spans")


def common_words(passages: Sequence[Units], share: float = 0.08) -> frozenset[str]:
    """Words that stand in more than a share of the passages: no answer begins or ends with them."""
    counts: Counter[str] = Counter()
    for units in passages:
        counts.update(set(units.words))
    return frozenset(word for word, count in counts.items() if count > share * len(passages) and count > 3)


def made_questions(passages: Sequence[str], count: int, seed: int) -> list[Example]:
    """Makes questions from passages, about as many of each kind.

    Args:
        passages: Raw text, in passages of some sentences.
        count: Questions wanted; fewer come back when the text is short.
        seed: Which.

    Returns:
        Examples with answers, in random order; the answers always stand in their contexts.
    """
    rng = random.Random(seed)
    cut = [units for units in map(cut_units, passages) if len(units) >= 2 * _SHORTEST_SENTENCE]
    if not cut:
        return []
    common = common_words(cut)
    examples: list[Example] = []
    each = max(1, -(-count // (2 * len(cut))))
    for units in cut:
        chinese = is_chinese(units.text)
        sentences = _sentences(units)
        long = [s for s in sentences if s[1] - s[0] >= _SHORTEST_SENTENCE]
        recurring = _recurring(units, common)
        rng.shuffle(recurring)
        made = [
            example
            for spans in recurring[:each]
            if (example := _recurring_question(units, sentences, spans, chinese, rng))
        ]
        while long and len(made) < 2 * each:
            sentence = rng.choice(long)
            gap = _phrase(units, sentence, common, rng)
            if gap is None:
                long.remove(sentence)
                continue
            answer = (int(units.starts[gap[0]]), int(units.ends[gap[1]]))
            question = _ask(units, sentence, gap, chinese, rng)
            made.append(Example(question, units.text, (answer,), source="made from a gap"))
        examples.extend(made)
    rng.shuffle(examples)
    return examples[:count]
