import pytest

from wenmo.config import TokenizerSettings
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer

ENGLISH = (
    "The river was high after the rain, and the boats could not leave the harbour. "
    "It's said that the old ferryman hadn't slept for three nights; he'd watched the water in 1998.\n"
)
CHINESE = "雨后江水很高，船都不能离开港口。有人说：“老船夫三夜没有睡觉，一直看着江水。”他在1998年也是这样。\n"
CODE = "def cross(river, boats):\n    for boat in boats:\n        if boat.ready:\n            return boat\n"
TEXTS = [ENGLISH * 4, CHINESE * 4, CODE * 4, ENGLISH + CHINESE]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return list(TEXTS)


@pytest.fixture(scope="session", params=["bpe", "char", "byte"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    size = 512 if request.param == "bpe" else None
    settings = TokenizerSettings(kind=request.param, vocab_size=size)
    return train_tokenizer(TEXTS, settings, sum(len(t.encode()) for t in TEXTS), progress=False)
