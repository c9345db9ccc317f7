"""How near a training step on a CPU comes to the bare matrix products of its shapes.

One round is one step of ours (forward, backward, optimiser) and then the products alone that such a step cannot do
without, of the same shapes, in the same number format, with as many threads, into memory that is there before: for each
matrix the product with the inputs and the two of the backward pass, and in a Transformer attention's two with its four.
What the step takes on top are norms, activations, softmax, the loss and the optimiser. The two take turns; the ratio is
taken within each round.

    python bench/products.py --threads 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from _record import record, spread
from wenmo.config import ModelSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model
from wenmo.training.heap import keep_freed_memory
from wenmo.training.objective import chunk_rows, computing, linear_cross_entropy
from wenmo.training.optimisation import build_optimizers


@dataclass(frozen=True)
class Shape:
    """Shape of a model and of its batch; one without heads is a minGRU, the others are Transformers."""

    name: str
    layers: int
    width: int
    heads: int
    vocab: int
    context: int
    rows: int


WARM = 3
"""Rounds before those that count: by then the memory that is kept is all there."""
SHAPES = (
    Shape("a few minutes' model", 3, 96, 3, 2048, 256, 8),
    Shape("a few minutes' minGRU", 2, 96, 0, 2048, 256, 8),
    Shape("4 x 256", 4, 256, 4, 4096, 256, 8),
    Shape("GPT-2 124M", 12, 768, 12, 50257, 512, 4),
)


def build(shape: Shape) -> NeuralLanguageModel:
    """A minGRU, or a Transformer in the default layout; GPT-2 in its own."""
    torch.manual_seed(0)
    settings = ModelSettings(layers=shape.layers, width=shape.width, context=shape.context, dropout=0.0)
    if shape.heads:
        layout = "gpt2" if shape.name.startswith("GPT-2") else "qwen3"
        settings = settings.model_copy(update={"heads": shape.heads, "layout": layout})
    architecture = "transformer" if shape.heads else "mingru"
    model = build_model(build_config(architecture, vocab_size=shape.vocab, settings=settings))
    assert isinstance(model, NeuralLanguageModel)
    return model


def step_of(model: NeuralLanguageModel, shape: Shape, precision: str) -> Callable[[], None]:
    """One training step."""
    optimizers = build_optimizers(
        model, "adamw", lr=1e-4, muon_lr=0.02, weight_decay=0.1, low_precision=precision == "bf16"
    )
    ids = torch.randint(shape.vocab, (shape.rows, shape.context + 1))
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    model.train()

    def step() -> None:
        with computing("cpu", precision, False):
            hidden, _ = model.hidden(inputs, need_state=False)
        if precision == "bf16":
            hidden = hidden.bfloat16()
        linear_cross_entropy(hidden, model.output_weight, targets).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def products_of(model: NeuralLanguageModel, shape: Shape, precision: str) -> list[Callable[[], Tensor]]:
    """The matrix products of a step, into memory that is there before; the table of tokens counts as output layer.

    The output layer goes by the rows that the loss holds at a time: with all rows at once its products are slower.
    """
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    tokens = shape.rows * shape.context
    made: list[Callable[[], Tensor]] = []
    kept: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def random(*size: int, name: str = "read") -> Tensor:
        if (name, size) not in kept:
            kept[name, size] = torch.randn(*size, dtype=kind)
        return kept[name, size]

    def product(first: Tensor, second: Tensor) -> Callable[[], Tensor]:
        into = random(*first.shape[:-1], second.shape[-1], name="written")
        return partial(torch.matmul, first, second, out=into)

    for out, inner in [p.shape for p in model.matrices()]:
        x, dy, w = random(tokens, inner), random(tokens, out), random(out, inner)
        made += [product(x, w.T), product(dy, w), product(dy.T, x)]
    out, inner = model.output_weight.shape
    chunk, w = min(tokens, chunk_rows("cpu", out)), random(out, inner)
    for start in range(0, tokens, chunk):
        x, dy = random(min(chunk, tokens - start), inner), random(min(chunk, tokens - start), out)
        gradient = random(out, inner, name="written")
        made += [
            product(x, w.T),
            product(dy, w),
            partial(torch.addmm, gradient, dy.T, x, beta=0, out=gradient),
        ]
    if not shape.heads:
        return made
    size = shape.width // shape.heads
    queries = random(shape.rows * shape.heads, shape.context, size)
    scores = random(shape.rows * shape.heads, shape.context, shape.context)
    for _ in range(shape.layers):
        # Scores and, from the values', their gradient; mixing, and the gradients of queries, keys and values.
        made += [product(queries, queries.transpose(1, 2))] * 2 + [product(scores, queries)] * 4
    return made


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Times all shapes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, help="all cores when not given")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = []
    for shape in SHAPES:
        model = build(shape)
        step, products = (
            step_of(model, shape, options.precision),
            products_of(model, shape, options.precision),
        )

        def bare(products: list[Callable[[], Tensor]] = products) -> None:
            for product in products:
                product()

        rounds = options.rounds if shape.width < 512 else max(3, options.rounds // 3)
        keep_freed_memory(large=True)  # as every training does
        times = [(timed(step), timed(bare)) for _ in range(rounds + WARM)][WARM:]
        share = spread([alone / whole for whole, alone in times])
        rows.append(
            {
                "shape": shape.name,
                "tokens": shape.rows * shape.context,
                "precision": options.precision,
                "step ms": round(1000 * sorted(whole for whole, _ in times)[len(times) // 2], 1),
                "products ms": round(1000 * sorted(alone for _, alone in times)[len(times) // 2], 1),
                "share of bare products": share,
            }
        )
        print(rows[-1], flush=True)
    record(
        "products",
        claim="The bare matrix products of a step of GPT-2 take at least 90 % of its time.",
        rows=rows,
        verdict="; ".join(f"{row['shape']} {row['share of bare products'][1]:.0%}" for row in rows),
    )


if __name__ == "__main__":
    main()
