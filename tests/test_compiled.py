import hashlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest
from numba.core.dispatcher import Dispatcher

from wenmo.models import context_mixing
from wenmo.tokenization import byte_pairs, cutting, learning, pieces

KEPT = (context_mixing, cutting, byte_pairs, pieces, learning)
each_kept = pytest.mark.parametrize("module", KEPT, ids=lambda module: module.__name__)


def parts(module: ModuleType) -> dict[str, ModuleType]:
    """The modules of the compiled functions that those of a module call, and those that they call."""
    found, waiting = {"compiled": sys.modules["wenmo.compiled"]}, [module]
    while waiting:
        for value in vars(waiting.pop()).values():
            numba_own = type(value).__module__.startswith("numba.")
            function = getattr(value, "py_func", getattr(value, "_defn", None)) if numba_own else None
            home = inspect.getmodule(function) if function else None
            name = home.__name__.rpartition(".")[2] if home else ""
            if home and home is not module and name not in found:
                found[name] = home
                waiting.append(home)
    return found


@each_kept
def test_a_change_of_a_part_has_what_was_compiled_from_it_compiled_anew(module: ModuleType) -> None:
    digests = {
        name: hashlib.sha256(Path(part.__file__ or "").read_bytes()).hexdigest()[:12]
        for name, part in sorted(parts(module).items())
    }
    assert digests == module.PARTS, f"put these into {module.__name__}.PARTS: {digests}"


@each_kept
def test_what_is_called_from_python_is_kept_on_the_disk_and_its_parts_are_not(module: ModuleType) -> None:
    for part in (*parts(module).values(), module):
        for name, function in vars(part).items():
            if isinstance(function, Dispatcher):
                kept = function.stats.cache_path is not None
                assert kept <= (function.py_func.__module__ in {each.__name__ for each in KEPT}), name
