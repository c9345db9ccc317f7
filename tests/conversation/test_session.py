import numpy as np
import pytest
from talks import tiny

from wenmo.config import GenerationSettings
from wenmo.conversation.messages import Message
from wenmo.conversation.session import ChatSession
from wenmo.errors import InputError, OptionError
from wenmo.generation.reader import Reader
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.mixture import MixtureModel

QUESTIONS = ("你好！", "How are you?", "再见 😀")


def settings(**changes):
    return GenerationSettings(**{"max_tokens": 6, "temperature": 0, **changes})


class Reading:
    """Counts the tokens a model reads."""

    def __init__(self, model, monkeypatch):
        self.tokens = 0
        hidden = type(model).hidden

        def counted(own, ids, *rest, **named):
            self.tokens += ids.numel()
            return hidden(own, ids, *rest, **named)

        monkeypatch.setattr(type(model), "hidden", counted)


def test_a_turn_reads_only_what_is_new_and_answers_the_same(chat_model, monkeypatch):
    model, tokenizer = chat_model
    assert isinstance(model, NeuralLanguageModel)
    reading = Reading(model, monkeypatch)
    session = ChatSession(model, tokenizer, settings(), "System 系统")
    for question in QUESTIONS[:2]:
        history = list(session.messages)
        before = reading.tokens
        answer = "".join(session.reply(question))
        read = reading.tokens - before
        fresh = ChatSession(model, tokenizer, settings(), "System 系统", history)
        assert "".join(fresh.reply(question)) == answer
        assert read < session.last.read + session.last.tokens + 40  # a recurrent state reads a little again
        assert fresh.last.reused == 0
        if history:
            assert session.last.reused > 20
    assert [message.role for message in session.messages] == ["user", "assistant"] * 2


def test_streamed_pieces_are_whole_characters(chat_model):
    model, tokenizer = chat_model
    session = ChatSession(model, tokenizer, settings(temperature=1.5, seed=5, max_tokens=30))
    pieces = list(session.reply("说"))
    assert "".join(pieces) == session.last.text
    assert session.messages[-1].content == session.last.text.strip()


def test_old_turns_leave_when_the_context_is_full(chat_model):
    model, tokenizer = chat_model
    session = ChatSession(model, tokenizer, settings(max_tokens=8), "S")
    dropped = []
    for number in range(30):
        "".join(session.reply(f"问题 {number} question"))
        dropped.append(session.last.dropped)
        assert session.last.reused + session.last.read <= max(model.context_length, 2048)
    if model.architecture == "transformer":
        assert dropped[-1] > 0 and dropped == sorted(dropped)
    with pytest.raises(InputError, match="shorten it"):
        "".join(session.reply("很长 long " * 2000))


def test_an_answer_that_is_broken_off_leaves_the_conversation_as_it_was(chat_model):
    model, tokenizer = chat_model
    session = ChatSession(model, tokenizer, settings(ignore_eos=True))
    "".join(session.reply("一"))
    before = list(session.messages)
    stream = session.reply("二")
    next(stream, None)
    stream.close()
    assert session.messages == before
    answer = "".join(session.reply("二"))
    fresh = ChatSession(model, tokenizer, settings(ignore_eos=True), messages=before)
    assert "".join(fresh.reply("二")) == answer


def test_a_mixture_talks_too(chat_model):
    model, tokenizer = chat_model
    mixture = MixtureModel.of({"a": model, "b": model})
    session = ChatSession(mixture, tokenizer, settings())
    alone = ChatSession(model, tokenizer, settings())
    for question in QUESTIONS:
        assert "".join(session.reply(question)) == "".join(alone.reply(question))
    assert session.last.reused > 0


def test_a_plain_model_continues_the_text(tiny_tokenizers):
    tokenizer = tiny_tokenizers["bpe"]
    model = tiny("gru", tokenizer)
    session = ChatSession(model, tokenizer, settings())
    assert not session.trained_to_chat
    first = "".join(session.reply("从前"))
    "".join(session.reply("后来"))
    assert session.messages[1] == Message("assistant", first.strip()) and session.last.reused > 0
    with pytest.raises(OptionError, match="no system message"):
        ChatSession(model, tokenizer, settings(), "S")


def test_what_cannot_be_is_refused(chat_model):
    model, tokenizer = chat_model
    with pytest.raises(OptionError, match="one answer at a time"):
        ChatSession(model, tokenizer, settings(n=2))
    with pytest.raises(InputError, match="empty"):
        next(ChatSession(model, tokenizer, settings()).reply("  "))


def test_a_restarted_session_is_a_new_one(chat_model):
    model, tokenizer = chat_model
    session = ChatSession(model, tokenizer, settings())
    first = "".join(session.reply("甲"))
    session.restart("")
    assert session.messages == [] and "".join(session.reply("甲")) == first
    np.testing.assert_equal(session.last.reused, 0)


def test_a_model_that_would_say_nothing_says_something(chat_model, monkeypatch):
    model, tokenizer = chat_model
    predict = Reader._predict
    ends = sorted(tokenizer.end_ids)

    def likes_to_end(reader, ids):
        logits = predict(reader, ids)
        logits[:, ends] += 1000
        return logits

    monkeypatch.setattr(Reader, "_predict", likes_to_end)
    session = ChatSession(model, tokenizer, settings(temperature=1, seed=1, max_tokens=30))
    assert "".join(session.reply("你好")).strip()
    assert session.last.finish_reason == "stop"
