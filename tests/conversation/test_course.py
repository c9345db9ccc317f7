import json

import pytest

from wenmo.conversation.course import Reading, read_sides
from wenmo.errors import InputError


def rows(tmp_path, pairs):
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"prompt": q, "completion": a}, ensure_ascii=False) for q, a in pairs]
    path.write_text("\n".join(lines), "utf-8")
    return Reading([str(path)], valid_fraction=0.2, test_fraction=0.2)


def questions(side):
    return {each.messages[0].content for each in side}


def test_conversations_that_ask_the_same_stay_on_one_side(tmp_path):
    pairs = [(f"问题{i // 2}？" if i % 4 < 2 else f"Question {i // 2}?", f"answer {i}") for i in range(40)]
    sides = read_sides(rows(tmp_path, pairs), lambda line: None)
    assert sides.valid and sides.test
    assert not questions(sides.train) & (questions(sides.valid) | questions(sides.test))


@pytest.mark.parametrize("asked", [("写一句好评。", "写一句差评。"), ("Praise it.", "Blame it.")])
def test_a_few_instructions_for_everything_are_held_out_one_by_one(tmp_path, asked):
    pairs = [(asked[i % 2], f"{i} 好 good") for i in range(40)]
    sides = read_sides(rows(tmp_path, pairs), lambda line: None)
    assert len(sides.valid) == len(sides.test) == 8 and len(sides.train) == 24
    known = {each.messages for each in sides.train}
    assert not known & {each.messages for each in [*sides.valid, *sides.test]}


def test_too_few_conversations_are_refused(tmp_path):
    with pytest.raises(InputError, match="only 3 conversations"):
        read_sides(rows(tmp_path, [(f"q{i}", "a") for i in range(3)]), lambda line: None)
