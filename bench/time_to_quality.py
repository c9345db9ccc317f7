"""Time to a given held-out loss, beside a bare GPT-2 with AdamW on the same text.

The setting is that of nanoGPT for a CPU: Tiny Shakespeare by characters, 4 layers of width 128, context 64. The peer
is `transformers`' GPT2LMHeadModel in a bare PyTorch loop: batch 12, AdamW at 1e-3 with a cosine down to a tenth,
2,000 iterations. Its held-out loss at the end is the goal. Ours are a Transformer of the same shape (qwen3 layout) and
the architecture `wenmo`, the same with a row for each pair of characters, each timed until an evaluation, of the same
windows, is at or below the goal. Evaluations count for none. Seeds take turns.

    python bench/time_to_quality.py --text tinyshakespeare.txt
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from _record import record, spread

CONTEXT, LAYERS, WIDTH, HEADS = 64, 4, 128, 4
PEER_STEPS, PEER_ROWS, PEER_LR = 2000, 12, 1e-3
OUR_ROWS, OUR_LR, OUR_MUON_LR = 16, 6e-3, 0.03
OUR_STEPS = {"transformer": 420, "wenmo": 300}
"""Steps of the schedule of each."""
EVALUATE_EVERY = 20


def windows(ids: Tensor) -> tuple[Tensor, Tensor]:
    """All windows of the held-out text, end to end."""
    count = (len(ids) - 1) // CONTEXT
    return ids[: count * CONTEXT].view(count, CONTEXT), ids[1 : count * CONTEXT + 1].view(count, CONTEXT)


def draw(ids: Tensor, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random windows of the training text."""
    starts = torch.randint(len(ids) - CONTEXT - 1, (rows, 1), generator=generator) + torch.arange(CONTEXT + 1)
    block = ids[starts]
    return block[:, :-1], block[:, 1:]


@torch.no_grad()
def held_out_loss(logits: Callable[[Tensor], Tensor], inputs: Tensor, targets: Tensor) -> float:
    """Mean nats per character over all windows."""
    total = 0.0
    for part in range(0, len(inputs), 64):
        out = logits(inputs[part : part + 64])
        total += F.cross_entropy(
            out.flatten(0, 1), targets[part : part + 64].flatten(), reduction="sum"
        ).item()
    return total / targets.numel()


def peer(train: Tensor, inputs: Tensor, targets: Tensor, vocab: int, seed: int) -> tuple[float, float]:
    """Trains the bare GPT-2; returns seconds and held-out loss."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocab, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    decay = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEER_LR, betas=(0.9, 0.99), fused=True)
    started = time.perf_counter()
    for step in range(PEER_STEPS):
        warm = min(1.0, (step + 1) / 100)
        cosine = 0.1 + 0.45 * (1 + math.cos(math.pi * step / PEER_STEPS))
        for group in optimizer.param_groups:
            group["lr"] = PEER_LR * warm * cosine
        x, y = draw(train, PEER_ROWS, generator)
        loss = F.cross_entropy(model(x).logits.flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - started
    model.eval()
    return seconds, held_out_loss(lambda ids: model(ids).logits, inputs, targets)


def ours(
    family: str,
    train: Tensor,
    inputs: Tensor,
    targets: Tensor,
    vocab: int,
    seed: int,
    goal: float,
    steps: int,
) -> tuple[float, float, int]:
    """Trains one of ours until the goal; returns seconds without evaluations, the loss reached, and the steps."""
    from wenmo.config import ModelSettings
    from wenmo.models.base import NeuralLanguageModel
    from wenmo.models.registry import build_config, build_model
    from wenmo.training.objective import linear_cross_entropy
    from wenmo.training.optimisation import build_optimizers, lr_factor, set_lr

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pairs = vocab * vocab if family == "wenmo" else None
    settings = ModelSettings(
        layers=LAYERS, width=WIDTH, heads=HEADS, context=CONTEXT, dropout=0.0, bigrams=pairs
    )
    model = build_model(build_config(family, vocab_size=vocab, settings=settings))
    assert isinstance(model, NeuralLanguageModel)
    optimizers = build_optimizers(model, "muon", lr=OUR_LR, muon_lr=OUR_MUON_LR, weight_decay=0.1)
    seconds, loss = 0.0, math.inf
    for step in range(steps):
        started = time.perf_counter()
        set_lr(optimizers, lr_factor("wsd", step / steps, warmup=0.02, decay=0.7))
        x, y = draw(train, OUR_ROWS, generator)
        hidden, _ = model.hidden(x, need_state=False)
        linear_cross_entropy(hidden, model.output_weight, y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seconds += time.perf_counter() - started
        if (step + 1) % EVALUATE_EVERY == 0 and step + 1 >= steps // 2:
            model.eval()
            loss = held_out_loss(lambda ids: model(ids)[0], inputs, targets)
            model.train()
            if loss <= goal:
                return seconds, loss, step + 1
    return math.inf, loss, steps


def main() -> None:
    """Runs the seeds in turn and writes the ratio of the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, help="Tiny Shakespeare; Python's own help texts when not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of all trainers; all cores when not given")
    parser.add_argument("--steps", type=int, help="of our schedules, instead of the default for each")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.text:
        text = options.text.read_text(encoding="utf-8")
    else:
        from pydoc_data.topics import topics

        text = "\n".join(topics.values())
    characters = sorted(set(text))
    codes = {character: index for index, character in enumerate(characters)}
    ids = torch.from_numpy(np.array([codes[character] for character in text]))
    cut = int(0.9 * len(ids))
    inputs, targets = windows(ids[cut:])
    rows = []
    for seed in range(options.seeds):
        peer_seconds, goal = peer(ids[:cut], inputs, targets, len(characters), seed)
        for family, length in OUR_STEPS.items():
            seconds, loss, steps = ours(
                family, ids[:cut], inputs, targets, len(characters), seed, goal, options.steps or length
            )
            row = {
                "seed": seed,
                "model": family,
                "peer seconds": round(peer_seconds, 1),
                "peer loss (nats/character)": round(goal, 4),
                "our seconds": round(seconds, 1),
                "our loss": round(loss, 4),
                "our steps": steps,
                "ratio": round(seconds / peer_seconds, 3),
            }
            print(row, flush=True)
            rows.append(row)
    ratios = {family: [float(row["ratio"]) for row in rows if row["model"] == family] for family in OUR_STEPS}
    shares = {family: median(found) for family, found in ratios.items()}
    record(
        "time_to_quality",
        claim="The held-out loss of a bare GPT-2 with AdamW is reached in at most a fifth of its time.",
        rows=rows,
        verdict="Median share of the peer's time: "
        + ", ".join(f"{family} {share:.3f}" for family, share in shares.items())
        + f"; {'reached' if min(shares.values()) <= 0.2 else 'not reached'}.",
        ratio={family: spread(found) for family, found in ratios.items()},
        text=options.text.name if options.text else "pydoc_data.topics",
    )


if __name__ == "__main__":
    main()
