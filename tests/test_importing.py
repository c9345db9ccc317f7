import gc

import pytest

from wenmo.cli import main
from wenmo.cli.process import importing


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_looked_for_again_after_imports(collecting: bool) -> None:
    before = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        with importing():
            assert not gc.isenabled()
        assert gc.isenabled() == collecting and gc.get_freeze_count() > 0
        with pytest.raises(ImportError), importing():
            raise ImportError
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()
        gc.unfreeze()


def test_a_command_inside_a_process_leaves_nothing_frozen() -> None:
    gc.freeze()
    assert main(["--version"]) == 0
    assert gc.get_freeze_count() == 0
