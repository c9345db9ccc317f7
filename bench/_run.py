"""Runs wenmo as its users do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def wenmo(*words: str) -> dict[str, Any]:
    """Runs a verb in a process of its own, and returns what it printed."""
    command = [sys.executable, "-c", "import sys; from wenmo.cli import main; sys.exit(main())", *words]
    done = subprocess.run([*command, "--json", "--quiet"], stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
