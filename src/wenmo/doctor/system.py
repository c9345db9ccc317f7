"""What the machine has: processor, memory, devices, fonts and optional packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import locale
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from wenmo.doctor.report import Gpu, Package

OPTIONAL = {
    "transformers": ("opening a saved Transformer in Hugging Face's library; comparing with it", "dev"),
    "keras": ("comparing speed with Keras", "bench"),
    "tensorflow": ("comparing speed with Keras on TensorFlow", "bench"),
    "pytest": ("running the tests", "dev"),
}
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MEMORY_USES = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")


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


def memory() -> tuple[int, int]:
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


def gpus() -> list[Gpu]:
    """CUDA devices that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [Gpu(name=p.name, memory=p.total_memory, bf16=p.major >= 8) for p in found]


def blas() -> str:
    """Name of the library behind torch's matrix products."""
    import torch

    found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    return found.group(1) if found else "unknown"


def takes_utf8() -> bool:
    """Whether the terminal and the file system take UTF-8."""
    names = (sys.getfilesystemencoding(), locale.getpreferredencoding(False))
    return all(name.lower().replace("-", "") == "utf8" for name in names)


def chinese_font() -> str | None:
    """Name of a font with Chinese characters as fontconfig knows it, or None when there is none or no fontconfig."""
    command = shutil.which("fc-list")
    if command is None:
        return None
    listed = subprocess.run(
        [command, ":lang=zh", "family"], capture_output=True, text=True, check=False
    ).stdout
    return next((line.split(",")[0].strip() for line in sorted(listed.splitlines()) if line.strip()), None)


def package(name: str, purpose: str, extra: str) -> Package:
    """Looks an optional distribution up; nothing of it is imported."""
    version = None
    if importlib.util.find_spec(name) is not None:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "unknown"
    return Package(name=name, purpose=purpose, extra=extra, version=version)
