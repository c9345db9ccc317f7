"""`torchrun -m wenmo train`, with a worker that is lost on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from texts import documents

SECONDS = 400
# What would amplify the rounding of sums in another order is left out: bfloat16, the normalised steps of AdamW and
# Muon, and long steps (at a rate of 0.05 differences of 1e-8 grow to 1e-4, at 0.02 they stay).
OPTIONS = [
    "--arch", "transformer", "--tokenizer.kind", "byte", "--model.layers", "1", "--model.width", "16",
    "--model.heads", "2", "--model.context", "32", "--model.dropout", "0", "--training.batch-tokens", "160",
    "--training.steps", "200", "--training.evaluations", "3", "--training.checkpoint-seconds", "0.05",
    "--training.optimizer", "sgd", "--training.lr", "0.02", "--training.precision", "fp32", "--json", "--quiet",
]  # fmt: skip
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def curve(model: Path) -> list[float]:
    lines = (model / "training" / "transformer.metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["valid_loss"] for line in lines]


def worker(agent: int, rank: int) -> int | None:
    """Process id of a worker of a torchrun."""
    for child in Path(f"/proc/{agent}/task/{agent}/children").read_text().split():
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if f"RANK={rank}".encode() in environment:
            return int(child)
    return None


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the workers in /proc")
def test_a_lost_worker_is_replaced_and_the_model_is_what_one_process_makes(tmp_path: Path) -> None:
    text = tmp_path / "mixed 混合.txt"
    text.write_text("\n".join([*documents("en", 6_000), *documents("zh", 6_000)]), encoding="utf-8")
    alone = tmp_path / "alone"
    command = [sys.executable, "-m", "wenmo", "train", str(text), "-o", str(alone), *OPTIONS]
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)

    model = tmp_path / "together"
    command = [
        *TORCHRUN,
        "--max-restarts",
        "2",
        "-m",
        "wenmo",
        "train",
        str(text),
        "-o",
        str(model),
        *OPTIONS,
    ]
    log = tmp_path / "stderr.txt"
    with log.open("w") as stderr:
        agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            checkpoint = tmp_path / "together.run/members/transformer/checkpoint.safetensors"
            limit = time.monotonic() + SECONDS
            while not checkpoint.is_file() and agent.poll() is None and time.monotonic() < limit:
                time.sleep(0.005)
            lost = worker(agent.pid, rank=1)
            assert lost is not None
            os.kill(lost, signal.SIGKILL)
            printed, _ = agent.communicate(timeout=SECONDS)
        finally:
            agent.kill()
    assert agent.returncode == 0, log.read_text()
    told = log.read_text()
    assert "another process of this training was lost" in told and "a bug in wenmo" not in told
    assert json.loads(printed)["model"] == str(model)  # printed once, by the first process
    assert curve(model) == pytest.approx(curve(alone), abs=1e-5)
    assert not (tmp_path / "together.run").exists()


def test_what_cannot_be_divided_is_refused_once(tmp_path: Path) -> None:
    environment = {**os.environ, "WORLD_SIZE": "2"}
    words = [sys.executable, "-m", "wenmo", "evaluate", str(tmp_path), str(tmp_path)]
    first, second = (
        subprocess.run(
            words, env={**environment, "RANK": rank}, capture_output=True, text=True, timeout=SECONDS
        )
        for rank in "01"
    )
    assert first.returncode == second.returncode == 2
    assert "start this without torchrun" in first.stderr and second.stderr == ""
