from types import SimpleNamespace

import numpy as np
import pytest

from wenmo.config import TokenizerSettings
from wenmo.tokenization.training import train_tokenizer
from wenmo.workflow.samples import PROMPT_CHARS, _opening


@pytest.mark.parametrize(
    "text", ["臺灣的鐵路與港口在那些年裡一條一條地修了起來。" * 40, "the railways of the island " * 40]
)
@pytest.mark.parametrize("ending", ["", "\n"])
def test_samples_begin_with_whole_characters_also_where_no_line_ends(text: str, ending: str) -> None:
    tokenizer = train_tokenizer([text], TokenizerSettings(kind="byte"), len(text.encode()), progress=False)
    ids = np.asarray(tokenizer.encode((text[:60] + ending) * 10 if ending else text))
    for start in range(6):
        texts = SimpleNamespace(test=SimpleNamespace(ids=ids), tokenizer=tokenizer)
        opening = _opening(texts, start / len(ids))
        assert 0 < len(opening) <= 2 * PROMPT_CHARS and "\ufffd" not in opening
