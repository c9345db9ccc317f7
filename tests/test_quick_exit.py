"""The command ends at once when all is done, with its status, its output and what others registered for the end."""

import subprocess
import sys

import pytest

END = "import atexit, sys; from wenmo.cli import main; {before}; status = main(); {after}; sys.exit(status)"


def run(words: list[str], before: str = "0", after: str = "0") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", END.format(before=before, after=after), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["train"], 2)])
def test_status_and_output_are_those_of_the_command(words: list[str], status: int) -> None:
    done = run(words)
    assert done.returncode == status
    assert (done.stdout if status == 0 else done.stderr).strip()


def test_what_was_registered_meanwhile_is_done_first_and_nothing_after_it() -> None:
    late = "atexit.register(print, 'late')"
    done = run(["--version"], before="atexit.register(print, 'early')", after=late)
    # Registered before the command began: Python would run it last, after the process has gone.
    assert done.stdout.splitlines()[-1] == "late" and "early" not in done.stdout


def test_an_exception_on_its_way_out_ends_the_process_as_usual() -> None:
    done = run(["--version"], after="raise SystemExit(7)")
    assert done.returncode == 0  # the status of the command holds once it is known
    failed = run(["train", "--debug"])
    assert failed.returncode == 1 and "Traceback" in failed.stderr
