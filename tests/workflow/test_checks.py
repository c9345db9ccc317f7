import shutil

import pytest

from wenmo.config import Recipe, TrainingSettings
from wenmo.errors import OptionError
from wenmo.workflow.checks import check_recipe


def compiled(*members: str) -> Recipe:
    return Recipe(members=members, training=TrainingSettings(compile="on"))


def test_compiling_is_for_a_transformer_and_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    check_recipe(compiled("transformer", "lstm"))
    with pytest.raises(OptionError, match=r"--training\.compile has no effect"):
        check_recipe(compiled("lstm", "ngram"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OptionError, match=r"needs a C\S* compiler"):
        check_recipe(compiled("transformer"))
