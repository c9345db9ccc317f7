"""wenmo (文模): your text in, the best language model that text and your minutes can buy out, with the proof.

The public API; everything is imported on first use, so that `import wenmo` costs nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# OpenMP threads that spin while they wait take the core that another thread needs: beside any other busy process
# training became 25 times slower. Threads that sleep at once are bad for a small model, whose operations last
# microseconds: a step took 1.6 times as long (docs/lab.md, 2026-11-30). Spinning 10,000 times takes less than half a
# millisecond. Both are read when torch is loaded; what the user set is kept.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wenmo.api import Model, load
    from wenmo.config import ComparisonRecipe, DistilRecipe, Recipe
    from wenmo.corpus import Corpus, prepare
    from wenmo.distillation import DistilResult, distil
    from wenmo.errors import WenmoError
    from wenmo.tasks import load_task, train_task
    from wenmo.workflow import ComparisonResult, TimeEstimate, TrainResult, compare, estimate, train

_EXPORTS = {
    "ComparisonRecipe": "wenmo.config",
    "ComparisonResult": "wenmo.workflow",
    "Corpus": "wenmo.corpus",
    "DistilRecipe": "wenmo.config",
    "DistilResult": "wenmo.distillation",
    "Model": "wenmo.api",
    "Recipe": "wenmo.config",
    "TimeEstimate": "wenmo.workflow",
    "TrainResult": "wenmo.workflow",
    "WenmoError": "wenmo.errors",
    "compare": "wenmo.workflow",
    "distil": "wenmo.distillation",
    "estimate": "wenmo.workflow",
    "load": "wenmo.api",
    "load_task": "wenmo.tasks",
    "prepare": "wenmo.corpus",
    "train": "wenmo.workflow",
    "train_task": "wenmo.tasks",
}

__all__ = [
    "ComparisonRecipe",
    "ComparisonResult",
    "Corpus",
    "DistilRecipe",
    "DistilResult",
    "Model",
    "Recipe",
    "TimeEstimate",
    "TrainResult",
    "WenmoError",
    "__version__",
    "compare",
    "distil",
    "estimate",
    "load",
    "load_task",
    "prepare",
    "train",
    "train_task",
]


def __getattr__(name: str) -> Any:
    """Imports a public name on first use (PEP 562)."""
    if name in _EXPORTS:
        from importlib import import_module

        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'wenmo' has no attribute {name!r}")
