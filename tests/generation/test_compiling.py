"""In processes of their own, with a folder of their own for compiled code: here it is compiled already."""

import os
import subprocess
import sys

import pytest

CHECKED = """
import torch
from numba.core.dispatcher import Dispatcher
from wenmo.generation import kernels
from wenmo.generation.compiling import compile_kernels
from wenmo.models import context_mixing, loops, mixing_weights, softmax_loop, tree_mixing

torch.set_num_threads(1)
compile_kernels()
if torch.get_num_threads() != 1:
    print(torch.get_num_threads(), "threads")
for module in (context_mixing, tree_mixing, mixing_weights, kernels, loops, softmax_loop):
    for name, function in vars(module).items():
        inlined = isinstance(function, Dispatcher) and function.targetoptions.get("inline") == "always"
        if isinstance(function, Dispatcher) and not inlined and not function.signatures:
            print(name)
"""


def run(folder, *words):
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "compiled")},
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )


def compiled(folder):
    return {path.name for path in (folder / "compiled").rglob("*.nbc")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, chinese_documents):
    folder = tmp_path_factory.mktemp("compiling")
    (folder / "text.txt").write_text("\n\n".join(chinese_documents), "utf-8")
    return folder


def test_nothing_is_left_to_compile_and_threads_are_left_alone(folder):
    assert run(folder, "-c", CHECKED).stdout == ""
    before = compiled(folder)
    assert before
    words = ("-m", "wenmo", "train", "text.txt", "-o", "model", "--arch", "mixture", "--training.steps", "4")
    said = run(folder, *words, "--members", "transformer,ngram", "--size", "20k").stderr
    assert "compiled" not in said
    for precision in ("fp32", "int8"):
        run(folder, "-m", "wenmo", "generate", "model", "春", "--max-tokens", "4", "--precision", precision)
    assert compiled(folder) == before
