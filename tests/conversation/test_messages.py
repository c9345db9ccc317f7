import pytest

from wenmo.conversation.messages import Message, Unfit, parse_messages, parse_prompt


def talk(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


def test_roles_have_the_names_that_files_give_them():
    openai = talk(("system", "s"), ("user", "你好"), ("assistant", "您好"))
    sharegpt = [
        {"from": "系统", "value": "s"},
        {"from": "human", "value": "你好 "},
        {"from": "gpt", "value": "您好"},
    ]
    parts = [{"role": "developer", "content": [{"type": "text", "text": "s"}]}, *openai[1:]]
    expected = (Message("system", "s"), Message("user", "你好"), Message("assistant", "您好"))
    assert parse_messages(openai) == parse_messages(sharegpt) == parse_messages(parts) == expected


def test_a_question_that_nobody_answers_is_left_out_at_the_end():
    assert parse_messages(talk(("user", "a"), ("assistant", "b"), ("user", "c"))) == (
        Message("user", "a"),
        Message("assistant", "b"),
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "no list of messages"),
        ("hello", "no list of messages"),
        (["hello"], "not an object"),
        ([{"role": "user"}], "without role or content"),
        ([{"content": "x"}], "without role or content"),
        (talk(("narrator", "x")), "unknown role 'narrator'"),
        ([{"role": "user", "content": 5}], "content is not text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "content is not text"),
        (talk(("user", "在吗")), "without an answer"),
        (talk(("assistant", "在"), ("user", "好"), ("assistant", "嗯")), "out of order"),
        (talk(("user", "a"), ("user", "b"), ("assistant", "c")), "out of order"),
        (talk(("user", "a"), ("system", "b"), ("assistant", "c")), "out of order"),
        (talk(("user", "a"), ("assistant", "  ")), "an empty answer"),
        (talk(("user", ""), ("assistant", "b")), "an empty user message"),
    ],
)
def test_what_is_no_conversation_has_a_reason(value, reason):
    with pytest.raises(Unfit, match=reason):
        parse_messages(value)


def test_a_prompt_ends_with_the_user():
    system, history, message = parse_prompt(
        talk(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    )
    assert (system, message) == ("s", "c")
    assert history == (Message("user", "a"), Message("assistant", "b"))
    with pytest.raises(Unfit, match="nothing to answer"):
        parse_prompt(talk(("user", "a"), ("assistant", "b")))
