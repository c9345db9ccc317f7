"""What OpenMP is told before PyTorch is loaded."""

import os
import subprocess
import sys

import pytest

PROGRAM = "import os, wenmo; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "PASSIVE 10000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"),
        ({"GOMP_SPINCOUNT": "7"}, "PASSIVE 7"),
    ],
)
def test_threads_wait_a_little_and_the_users_word_holds(given: dict[str, str], seen: str) -> None:
    plain = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**plain, **given}, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == seen
