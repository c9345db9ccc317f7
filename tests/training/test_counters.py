import json
import math

import pytest

from wenmo.training.counters import Counters
from wenmo.training.outcome import CurveRow

ROW = CurveRow(
    step=5, seconds=1.5, tokens=320, epochs=0.25, train_loss=2.0, valid_loss=1.5, train_bpb=2.9, valid_bpb=2.25, lr=1.0
)  # fmt: skip


@pytest.mark.parametrize("best", [math.inf, 2.25])
def test_counters_come_back_from_json(best: float) -> None:
    counters = Counters(
        step=7, tokens=448, seconds=2.5, bad=1, best=best, loss_sum=4.5, loss_count=2, curve=[ROW]
    )
    state = {**json.loads(json.dumps(counters.state())), "batches": {"epoch": 0}}
    assert Counters.restore(state) == counters


def test_the_line_tells_loss_speed_and_held_out_score() -> None:
    counters = Counters(step=7, tokens=5000, seconds=2.0, loss_sum=4.5, loss_count=2, curve=[ROW])
    assert counters.line(1.25) == "loss 2.250  2,500 tokens/s  epoch 1.2  held-out 2.250 bits/byte"
    assert Counters().line(0.0) == "0 tokens/s  epoch 0.0"
