"""Tokens per second when writing, batch 1, beside `transformers` generate() on the same saved weights.

Claim: a 28M-parameter Transformer (vocabulary 8192, width 512, 8 layers) writes at least twice as fast as
`transformers` does, and an LSTM of equal size faster still. Both sides sample 128 tokens after the same
prompt, in turn, round after round; what rounding the
weights costs is measured on a trained model (--model, --text).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _record import RESULTS, record
from wenmo.config import ModelSettings
from wenmo.generation.decoding import complete
from wenmo.generation.options import resolve_settings
from wenmo.generation.runtime import choose_precision, decode_runtime
from wenmo.models.base import LanguageModel
from wenmo.models.registry import build_config, build_model
from wenmo.models.storage import load_model, save_model

VOCABULARY, WIDTH, LAYERS, CONTEXT = 8192, 512, 8, 512
PROMPT = np.arange(1, 17)


class Vocabulary:
    """Bytes for ids, so that text is written without training a tokenizer."""

    eos_id = 0
    end_ids = frozenset({0})
    token_bytes = (b"", *(b"%x " % i for i in range(1, VOCABULARY)))


def build(architecture: str, parameters: int | None) -> LanguageModel:
    """Returns a model with random weights, scaled so that its distribution is narrow, as of a trained one."""
    torch.manual_seed(0)
    if architecture == "transformer":
        settings = ModelSettings(width=WIDTH, layers=LAYERS, heads=8, context=CONTEXT)
    else:
        settings = ModelSettings(context=CONTEXT)
    config = build_config(architecture, vocab_size=VOCABULARY, settings=settings, parameters=parameters)
    model = build_model(config).eval()
    with torch.no_grad():
        ids = torch.from_numpy(PROMPT)[None]
        spread = float(model(ids)[0][:, -1].std())
        model.embedding.weight.mul_(2.5 / spread)  # type: ignore[union-attr, operator]
    return model


def writer(model: LanguageModel, tokens: int, precision: str = "auto") -> Callable[[], int]:
    """Returns a function that writes and counts its tokens, with the library's default sampling."""
    settings = resolve_settings({"max_tokens": tokens, "ignore_eos": True, "seed": 0, "precision": precision})
    runtime = decode_runtime(model, choose_precision(model, settings))
    return lambda: len(complete(runtime, Vocabulary(), PROMPT, settings)[0].tokens)


def peer(directory: Path, tokens: int) -> Callable[[], int]:
    """Returns the same for `transformers`: fp32, its key-value cache, sampling with top_p as ours."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    ids = torch.from_numpy(np.append(0, PROMPT))[None]

    def write() -> int:
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=True,
                pad_token_id=0,
            )
        return int(out.shape[1] - ids.shape[1])

    return write


def rounding(directory: Path, text: str, tokens: int = 600) -> dict[str, Any]:
    """Measures what compact weights change in a trained model's bits for a text, read token by token."""
    loaded = load_model(directory)
    assert loaded.tokenizer is not None
    ids = loaded.tokenizer.encode(text)[:tokens]
    total: dict[str, float] = {}
    for precision in ("fp32", "bf16", "int8"):
        runtime = decode_runtime(loaded.model, precision)  # type: ignore[arg-type]
        total[precision] = 0.0
        with torch.inference_mode():
            for start in range(0, len(ids), CONTEXT // 4):
                state, before = None, 0
                for token in ids[start : start + CONTEXT // 4].tolist():
                    logits, state = runtime(torch.tensor([[before]]), state)
                    total[precision] -= float(logits[0, 0].log_softmax(-1)[token])
                    before = token
    change = {f"change_{name}": f"{(nats / total['fp32'] - 1) * 100:+.4f} %" for name, nats in total.items()}
    return {"parameters": loaded.model.num_parameters(), "tokens": len(ids), **change}


def main() -> None:
    """Runs all writers in turn and writes the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--output", type=Path, default=RESULTS / "generation.json")
    parser.add_argument("--model", type=Path, help="a trained model, to measure what rounding costs")
    parser.add_argument("--text", type=Path, help="text that it was not trained on")
    args = parser.parse_args()
    if (args.model is None) != (args.text is None):
        parser.error("--model and --text belong together")
    with tempfile.TemporaryDirectory() as folder:
        built = build("transformer", None)
        save_model(built, Path(folder) / "transformer", tokenizer=None)
        model = load_model(Path(folder) / "transformer").model
        models = {"transformer": model}
        models |= {name: build(name, model.num_parameters()) for name in ("lstm", "gru")}
        writers = {"transformers generate()": peer(Path(folder) / "transformer", args.tokens)}
        writers |= {f"wenmo {name}": writer(m, args.tokens) for name, m in models.items()}
        writers["wenmo transformer, fp32"] = writer(model, args.tokens, "fp32")
        speeds: dict[str, list[float]] = {name: [] for name in writers}
        for run in range(args.rounds + 1):
            for name, write in writers.items():
                begin = time.perf_counter()
                count = write()
                if run:  # the first round compiles and warms up
                    speeds[name].append(count / (time.perf_counter() - begin))
    base = speeds["transformers generate()"]
    rows = []
    for name, found in speeds.items():
        ratios = sorted(a / b for a, b in zip(found, base, strict=True))
        rows.append(
            {
                "writer": name,
                "tokens_per_second": round(statistics.median(found), 1),
                "least": round(min(found), 1),
                "most": round(max(found), 1),
                "ratio": round(statistics.median(ratios), 3),
                "ratio_least": round(ratios[0], 3),
                "ratio_most": round(ratios[-1], 3),
            }
        )
        print(rows[-1], flush=True)
    ratio = {row["writer"]: float(row["ratio"]) for row in rows}
    reached = ratio["wenmo transformer"] >= 2 and ratio["wenmo lstm"] > ratio["wenmo transformer"]
    record(
        "generation",
        claim="batch 1: at least 2 x the tokens/s of transformers' generate(), an LSTM faster still",
        packages=("torch", "transformers"),
        path=args.output,
        parameters={name: m.num_parameters() for name, m in models.items()},
        rounds=args.rounds,
        tokens=args.tokens,
        rows=rows,
        rounding=rounding(args.model, args.text.read_text(encoding="utf-8")) if args.model else None,
        verdict="reached" if reached else "not reached",
    )


if __name__ == "__main__":
    main()
