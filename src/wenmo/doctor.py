"""What this machine has, how fast it is, and what it can train."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import locale
import os
import platform
import re
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from wenmo.config import ModelSettings

LAW = (
    "A training step costs 6 operations per parameter and token (Kaplan et al. 2020); "
    "parameters by the dial of wenmo train at the measured speed, with text that does not repeat."
)
TRAINING_SHARE = 0.8
"""Part of a budget left for training steps after reading, tokenizing, scoring and saving."""
BUDGETS = {"1m": 60.0, "10m": 600.0, "1h": 3600.0}
OPTIONAL = {
    "transformers": ("opening a saved Transformer in Hugging Face's library; comparing with it", "dev"),
    "keras": ("comparing speed with Keras", "bench"),
    "tensorflow": ("comparing speed with Keras on TensorFlow", "bench"),
    "pytest": ("running the tests", "dev"),
}
CHINESE_FONTS = (
    "Noto Sans CJK",
    "Noto Serif CJK",
    "Source Han",
    "WenQuanYi",
    "SimHei",
    "SimSun",
    "Microsoft YaHei",
    "PingFang",
    "Heiti",
    "Songti",
    "Droid Sans Fallback",
    "AR PL",
)
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MEMORY_USES = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")


class Gpu(BaseModel):
    """A CUDA device."""

    name: str
    memory: int
    """Bytes."""
    bf16: bool
    """Whether it computes in bfloat16."""


class Package(BaseModel):
    """An optional distribution."""

    name: str
    purpose: str
    extra: str
    """Extra of wenmo that brings it."""
    version: str | None
    """None when it is not installed."""


class Speed(BaseModel):
    """Measured in about three seconds on the device that `wenmo train` would take."""

    device: str
    fp32_gflops: float
    """Matrix products of a small model's shape in float32, 10^9 operations per second."""
    bf16_gflops: float
    """The same in bfloat16."""
    memory_gb_per_second: float
    """Copying main memory, bytes read and written, 10^9 per second."""
    transformer_tokens_per_second: float
    """Training steps of a small Transformer (see `transformer_parameters`)."""
    transformer_parameters: int
    lstm_tokens_per_second: float
    """Training steps of a small LSTM (see `lstm_parameters`)."""
    lstm_parameters: int


class Trainable(BaseModel):
    """What a budget buys."""

    budget: str
    architecture: str
    parameters: int
    tokens: int
    """Tokens seen in training."""


class DoctorReport(BaseModel):
    """What `wenmo doctor` found."""

    version: str
    """Of wenmo."""
    system: str
    python: str
    cpu: str
    cores: int
    """Cores this process may use."""
    memory: int
    """Bytes of main memory this process may use."""
    memory_free: int
    """Bytes."""
    disk_free: int
    """Bytes free in the current folder."""
    gpus: list[Gpu]
    cuda: str | None
    """CUDA version that torch was built for."""
    torch: str
    threads: int
    """Threads that torch uses."""
    blas: str
    """Library behind torch's matrix products."""
    utf8: bool
    """Whether the terminal and the file system take UTF-8."""
    locale: str
    chinese_font: str | None
    """A font with Chinese characters, for plots; None when there is none."""
    packages: list[Package]
    speed: Speed
    trainable: list[Trainable]
    law: str
    """How `trainable` was computed."""
    problems: list[str]
    """What stands in the way, each with what to do."""


def examine() -> DoctorReport:
    """Looks at the machine and measures it (about five seconds, most of it imports)."""
    import torch

    from wenmo import __version__

    memory, free = _memory()
    speed = _measure()
    utf8 = _utf8()
    font = _chinese_font()
    disk = shutil.disk_usage(Path.cwd()).free
    return DoctorReport(
        version=__version__,
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        python=platform.python_version(),
        cpu=cpu_name(),
        cores=usable_cores(),
        memory=memory,
        memory_free=free,
        disk_free=disk,
        gpus=_gpus(),
        cuda=torch.version.cuda,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        blas=_blas(),
        utf8=utf8,
        locale=".".join(part or "C" for part in locale.getlocale()),
        chinese_font=font,
        packages=[_package(name, *about) for name, about in OPTIONAL.items()],
        speed=speed,
        trainable=_trainable(speed),
        law=LAW,
        problems=_problems(free, disk, utf8, font, speed.device),
    )


def _problems(memory_free: int, disk_free: int, utf8: bool, font: str | None, device: str) -> list[str]:
    import torch

    found = []
    if memory_free < 2e9:
        found.append("less than 2 GB of memory is free; close other programs or train with --size 1M")
    if disk_free < 1e9:
        found.append("less than 1 GB of disk is free in this folder; free some or write elsewhere with -o")
    if not utf8:
        found.append("the locale is not UTF-8, so file names may look garbled; set LANG=C.UTF-8")
    if font is None:
        found.append("no font with Chinese characters was found, so plots that show Chinese text lack it; "
                     "on Debian or Ubuntu: apt-get install fonts-noto-cjk")  # fmt: skip
    if device == "cpu" and shutil.which("nvidia-smi"):
        reason = "torch is built without CUDA" if torch.version.cuda is None else "torch cannot use it"
        found.append(f"there is an NVIDIA driver, but {reason}; see https://pytorch.org/get-started")
    return found


def cpu_name() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> tuple[int, int]:
    """Returns bytes of memory and free bytes, within the limit of a container."""
    info = Path("/proc/meminfo")
    if not info.exists():
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
        return pages, pages
    fields = dict(line.split(":", 1) for line in info.read_text(encoding="utf-8").splitlines() if ":" in line)
    total, free = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    limit, used = _number(_MEMORY_LIMITS), _number(_MEMORY_USES)
    if limit is not None and used is not None and limit < total:
        return limit, min(free, limit - used)
    return total, free


def _number(paths: tuple[str, ...]) -> int | None:
    for path in map(Path, paths):
        try:
            return int(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return None


def _gpus() -> list[Gpu]:
    import torch

    if not torch.cuda.is_available():
        return []
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [Gpu(name=p.name, memory=p.total_memory, bf16=p.major >= 8) for p in found]


def _blas() -> str:
    import torch

    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found.group(1) if found else "unknown"


def _utf8() -> bool:
    names = (sys.getfilesystemencoding(), locale.getpreferredencoding(False))
    return all(name.lower().replace("-", "") == "utf8" for name in names)


def _chinese_font() -> str | None:
    from matplotlib import font_manager

    names = sorted({entry.name for entry in font_manager.fontManager.ttflist})
    return next((name for wanted in CHINESE_FONTS for name in names if name.startswith(wanted)), None)


def _package(name: str, purpose: str, extra: str) -> Package:
    version = None
    if importlib.util.find_spec(name) is not None:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "unknown"
    return Package(name=name, purpose=purpose, extra=extra, version=version)


def _trainable(speed: Speed) -> list[Trainable]:
    """Sizes by the law of the dial, at the measured speed of training, with text that never repeats."""
    from wenmo.training.budget import EFFICIENCY, choose_parameters

    measured = {
        "transformer": 6.0 * speed.transformer_parameters * speed.transformer_tokens_per_second,
        "lstm": 6.0 * speed.lstm_parameters * speed.lstm_tokens_per_second,
    }
    rows = []
    for budget, seconds in BUDGETS.items():
        for architecture, operations in measured.items():
            time_for_steps = TRAINING_SHARE * seconds
            # The dial expects the rate of bare products and multiplies by what a step reaches of it.
            bare = operations / EFFICIENCY[architecture]
            parameters = choose_parameters(architecture, bare, time_for_steps, train_tokens=10**15)
            tokens = round(operations * time_for_steps / (6.0 * parameters))
            rows.append(
                Trainable(budget=budget, architecture=architecture, parameters=parameters, tokens=tokens)
            )
    return rows


def _measure() -> Speed:
    from wenmo.training.budget import choose_device, measure_machine

    device = choose_device("auto")
    machine = measure_machine(device)
    transformer, transformer_parameters = _training_speed("transformer", device)
    lstm, lstm_parameters = _training_speed("lstm", device)
    return Speed(
        device=device,
        fp32_gflops=machine.flops / 1e9,
        bf16_gflops=machine.flops * machine.bf16_ratio / 1e9,
        memory_gb_per_second=_memory_speed(),
        transformer_tokens_per_second=transformer,
        transformer_parameters=transformer_parameters,
        lstm_tokens_per_second=lstm,
        lstm_parameters=lstm_parameters,
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
