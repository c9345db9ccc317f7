"""Training speed on the CPU: our Transformer and LSTM beside bare loops of the same shape.

* Transformer: 4 layers, width 256, context 256, vocabulary 4096, against `transformers`' GPT2LMHeadModel.
* LSTM: 2 x 512 and the same embedding and output layer, against a bare torch.nn.LSTM and Keras on TensorFlow.

All use AdamW, float32, no dropout, and the same batch. One round is one step of each, in turn, so that
whatever else the machine does falls on all alike; the ratio is taken within each round. Keras runs in a
process of its own (`--keras-python`: an interpreter that has keras and tensorflow) that works when asked.

    python bench/training_speed.py --keras-python /path/to/python
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from _record import RESULTS, origin, spread
from wenmo.files import write_text

VOCAB, CONTEXT = 4096, 256
LSTM_SIZE, LSTM_LAYERS = 512, 2

KERAS_WORKER = """
import os, sys, time
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
rows, context, vocab, size, layers, threads = map(int, sys.argv[1:])
import numpy as np, keras, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
model = keras.Sequential([keras.Input((context,), dtype="int32"), keras.layers.Embedding(vocab, size)]
    + [keras.layers.LSTM(size, return_sequences=True) for _ in range(layers)] + [keras.layers.Dense(vocab)])
model.compile(keras.optimizers.AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
ids = np.random.default_rng(0).integers(vocab, size=(rows, context + 1)).astype("int32")
model.train_on_batch(ids[:, :-1], ids[:, 1:])
print("ready", keras.__version__, tf.__version__, flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    model.train_on_batch(ids[:, :-1], ids[:, 1:])
    print(time.perf_counter() - start, flush=True)
"""


def batch(rows: int) -> tuple[Any, Any]:
    import torch

    ids = torch.randint(VOCAB, (rows, CONTEXT + 1), generator=torch.Generator().manual_seed(0))
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def our_step(model: Any, rows: int) -> Callable[[], float]:
    import torch

    from wenmo.training.objective import linear_cross_entropy

    inputs, targets = batch(rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()

    def step() -> None:
        hidden, _ = model.hidden(inputs, need_state=False)
        linear_cross_entropy(hidden.flatten(0, 1), model.output_weight, targets.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return lambda: timed(step)


def bare_step(model: Any, logits: Callable[[Any], Any], rows: int) -> Callable[[], float]:
    import torch
    import torch.nn.functional as F

    inputs, targets = batch(rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()

    def step() -> None:
        F.cross_entropy(logits(inputs).flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return lambda: timed(step)


def our_transformer(layout: str, rows: int) -> Callable[[], float]:
    from wenmo.config import ModelSettings
    from wenmo.models.registry import build_config, build_model

    settings = ModelSettings(layers=4, width=256, heads=4, context=CONTEXT, layout=layout)
    return our_step(build_model(build_config("transformer", vocab_size=VOCAB, settings=settings)), rows)


def bare_gpt2(rows: int) -> Callable[[], float]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=CONTEXT,
        n_embd=256,
        n_layer=4,
        n_head=4,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    return bare_step(model, lambda ids: model(ids).logits, rows)


def our_lstm(rows: int) -> Callable[[], float]:
    from wenmo.config import ModelSettings
    from wenmo.models.registry import build_config, build_model

    settings = ModelSettings(layers=LSTM_LAYERS, width=LSTM_SIZE, context=CONTEXT)
    return our_step(build_model(build_config("lstm", vocab_size=VOCAB, settings=settings)), rows)


def bare_lstm(rows: int) -> Callable[[], float]:
    from torch import nn

    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(VOCAB, LSTM_SIZE),
            "lstm": nn.LSTM(LSTM_SIZE, LSTM_SIZE, LSTM_LAYERS, batch_first=True),
            "head": nn.Linear(LSTM_SIZE, VOCAB, bias=False),
        }
    )
    model["head"].weight = model["embedding"].weight
    return bare_step(model, lambda ids: model["head"](model["lstm"](model["embedding"](ids))[0]), rows)


def keras_lstm(
    python: str, rows: int, threads: int
) -> tuple[Callable[[], float], subprocess.Popen[str], str]:
    """Starts the Keras process; raises RuntimeError when it cannot run."""
    shape = [str(n) for n in (rows, CONTEXT, VOCAB, LSTM_SIZE, LSTM_LAYERS, threads)]
    process = subprocess.Popen(
        [python, "-c", KERAS_WORKER, *shape],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    sent, received = process.stdin, process.stdout
    assert sent is not None and received is not None
    ready = received.readline().split()
    if ready[:1] != ["ready"]:
        process.kill()
        raise RuntimeError(f"{python} cannot run keras on tensorflow")

    def step() -> float:
        sent.write("\n")
        sent.flush()
        return float(received.readline())

    return step, process, f"keras {ready[1]}, tensorflow {ready[2]}"


def compare(steps: dict[str, Callable[[], float]], rounds: int, rows: int) -> dict[str, Any]:
    """Runs one step of each per round; the first is ours, the others its peers."""
    for step in steps.values():
        step(), step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds):
        names = list(steps) if turn % 2 == 0 else list(reversed(steps))
        for name in names:
            seconds[name].append(steps[name]())
    ours, *peers = steps
    result: dict[str, Any] = {
        "tokens_per_second": {n: round(rows * CONTEXT / median(t)) for n, t in seconds.items()},
        "seconds": {n: [round(x, 4) for x in t] for n, t in seconds.items()},
        "ratio": {},
    }
    for peer in peers:
        ratios = [theirs / mine for mine, theirs in zip(seconds[ours], seconds[peer], strict=True)]
        low, middle, high = spread(ratios)
        result["ratio"][peer] = {"median": middle, "quartiles": [low, high]}
        print(f"{ours}: {middle:.2f} x {peer} (quartiles {low:.2f} to {high:.2f})", flush=True)
    for name, speed in result["tokens_per_second"].items():
        print(f"  {name}: {speed} tokens/s", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=16, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=9, help="at least 7")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["transformer", "lstm"])
    parser.add_argument("--keras-python", help="interpreter with keras and tensorflow")
    parser.add_argument("--output", type=Path, default=RESULTS / "training_speed.json")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    report: dict[str, Any] = json.loads(options.output.read_text()) if options.output.exists() else {}
    context = {
        **origin("torch", "transformers"),
        "load_before": os.getloadavg(),
    }
    rows = options.rows
    if options.only != "lstm":
        steps = {
            "wenmo transformer (qwen3)": our_transformer("qwen3", rows),
            "transformers GPT-2": bare_gpt2(rows),
        }
        report["transformer"] = {**context, **compare(steps, options.rounds, rows)}
        steps = {
            "wenmo transformer (gpt2)": our_transformer("gpt2", rows),
            "transformers GPT-2": bare_gpt2(rows),
        }
        report["transformer_gpt2_layout"] = {**context, **compare(steps, options.rounds, rows)}
    if options.only != "transformer":
        steps = {"wenmo lstm": our_lstm(rows), "torch.nn.LSTM": bare_lstm(rows)}
        process, versions = None, "skipped: no --keras-python"
        if options.keras_python:
            try:
                step, process, versions = keras_lstm(options.keras_python, rows, options.threads)
                steps["Keras on TensorFlow"] = step
            except (RuntimeError, OSError) as error:
                versions = f"skipped: {error}"
        print(f"Keras: {versions}", flush=True)
        report["lstm"] = {**context, "keras": versions, **compare(steps, options.rounds, rows)}
        if process is not None:
            process.kill()
    write_text(options.output, json.dumps(report, indent=2) + "\n")
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
