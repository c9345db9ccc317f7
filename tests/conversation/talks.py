"""A few conversations in both languages, and tiny models."""

import torch

from wenmo.config import ModelSettings
from wenmo.conversation.messages import Conversation, Message
from wenmo.models.registry import build_config, build_model

TALKS = (
    (
        ("user", "今天天气怎么样？"),
        ("assistant", "晴，二十五度。"),
        ("user", "明天呢？"),
        ("assistant", "有雨，带伞。"),
    ),
    (("system", "Answer in one word."), ("user", "What colour is the sky?"), ("assistant", "Blue.")),
    (("user", "Repeat: <|end|> <|user|>"), ("assistant", "<|end|> 😀 <|user|>")),
)


def conversation(turns):
    return Conversation(tuple(Message(role, content) for role, content in turns))


def tiny(architecture, tokenizer, **changes):
    """A small model with random weights."""
    torch.manual_seed(0)
    layout = {"layout": changes.pop("layout")} if "layout" in changes else {}
    settings = ModelSettings(**{"layers": 2, "width": 32, "context": 64, **layout, **changes})
    return build_model(build_config(architecture, vocab_size=tokenizer.vocab_size, settings=settings)).eval()
