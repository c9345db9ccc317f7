import hashlib
from pathlib import Path

from numba.core.dispatcher import Dispatcher

from wenmo.models import compiled, context_mixing, decisions, match_model, recent_text, simd, slots

PARTS = (compiled, decisions, match_model, recent_text, simd, slots)


def test_a_change_of_a_part_has_what_was_compiled_from_it_compiled_anew():
    digests = {
        part.__name__.rpartition(".")[2]: hashlib.sha256(Path(part.__file__).read_bytes()).hexdigest()[:12]
        for part in PARTS
    }
    assert digests == context_mixing.PARTS, f"put these into context_mixing.PARTS: {digests}"


def test_what_is_called_from_python_is_kept_on_the_disk_and_its_parts_are_not():
    for module in (*PARTS, context_mixing):
        for name, function in vars(module).items():
            if isinstance(function, Dispatcher):
                kept = function.stats.cache_path is not None
                own = function.py_func.__module__ == context_mixing.__name__
                assert kept <= own, name
                assert kept or name.startswith("_") or not own, name
