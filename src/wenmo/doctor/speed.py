"""How fast the machine computes, copies and trains."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from wenmo.config import ModelSettings
from wenmo.doctor.report import Speed

COUNTED_TOKENS = 10_000


def measure() -> Speed:
    """Measures the device that `wenmo train` would take, in about four seconds; compiles first what is not yet."""
    from wenmo.training.hardware import choose_device, measure_machine

    device = choose_device("auto")
    machine = measure_machine(device)
    transformer, transformer_parameters = _training_speed("transformer", device)
    mingru, mingru_parameters = _training_speed("mingru", device)
    return Speed(
        device=device,
        fp32_gflops=machine.flops / 1e9,
        bf16_gflops=machine.flops * machine.bf16_ratio / 1e9,
        memory_gb_per_second=_memory_speed(),
        transformer_tokens_per_second=transformer,
        transformer_parameters=transformer_parameters,
        mingru_tokens_per_second=mingru,
        mingru_parameters=mingru_parameters,
        ngram_tokens_per_second=_counting_speed(),
    )


def _memory_speed() -> float:
    import torch

    source = torch.ones(16_000_000)
    target = torch.empty_like(source)
    seconds = _median_seconds(lambda: target.copy_(source), at_least=5, within=0.2)
    return 2 * source.numel() * 4 / seconds / 1e9


def _training_speed(architecture: str, device: str) -> tuple[float, int]:
    """Returns tokens per second of training steps of a small model, and its parameters."""
    import torch

    from wenmo.models.base import NeuralLanguageModel
    from wenmo.models.registry import build_config, build_model
    from wenmo.training.objective import linear_cross_entropy
    from wenmo.training.optimisation import build_optimizers

    torch.manual_seed(0)
    settings = ModelSettings(context=128, dropout=0.0)
    config = build_config(architecture, vocab_size=1024, settings=settings, parameters=1_000_000)
    model = build_model(config)
    assert isinstance(model, NeuralLanguageModel)
    model.to(device).train()
    optimizers = build_optimizers(model, "adamw", lr=1e-3, muon_lr=0.02, weight_decay=0.1)
    ids = torch.randint(1024, (4, 129), device=device)

    def step() -> None:
        hidden, _ = model.hidden(ids[:, :-1], need_state=False)
        loss = linear_cross_entropy(hidden, model.output_weight, ids[:, 1:])
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()

    seconds = _median_seconds(step, at_least=2, within=0.7)
    return 4 * 128 / seconds, model.num_parameters()


def _counting_speed() -> float:
    """Tokens per second that an n-gram model counts."""
    import numpy as np

    from wenmo.generation.compiling import compile_kernels
    from wenmo.models.ngram import NgramConfig, NgramModel

    compile_kernels()
    # Frequencies like those of words; all tokens of one length, so that contexts are alike, too.
    ids = np.random.default_rng(0).zipf(1.3, COUNTED_TOKENS).clip(1, 1024) - 1
    token_bytes = [f"{token:03x}".encode() for token in range(1024)]
    config = NgramConfig(vocab_size=1024)
    return COUNTED_TOKENS / _median_seconds(
        lambda: NgramModel(config).fit(ids, token_bytes), at_least=2, within=0.5
    )


def _median_seconds(action: Callable[[], object], at_least: int, within: float) -> float:
    """Times an action after one warm-up, at least so often, and as often as fits in the given seconds."""
    action()
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < at_least or time.perf_counter() - started < within:
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)
