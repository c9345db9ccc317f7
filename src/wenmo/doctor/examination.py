"""Looking at the whole machine, and at what stands in the way."""

from __future__ import annotations

import locale
import platform
import shutil
from pathlib import Path

from wenmo.doctor.law import LAW, trainable_sizes
from wenmo.doctor.report import DoctorReport
from wenmo.doctor.speed import measure
from wenmo.doctor.system import (
    OPTIONAL,
    blas,
    chinese_font,
    cpu_name,
    gpus,
    memory,
    package,
    takes_utf8,
    usable_cores,
)


def examine() -> DoctorReport:
    """Looks at the machine and measures it: about eight seconds, and 25 more the first time, which compiles."""
    import torch

    from wenmo import __version__

    total, free = memory()
    speed = measure()
    utf8 = takes_utf8()
    font = chinese_font()
    disk = shutil.disk_usage(Path.cwd()).free
    return DoctorReport(
        version=__version__,
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        python=platform.python_version(),
        cpu=cpu_name(),
        cores=usable_cores(),
        memory=total,
        memory_free=free,
        disk_free=disk,
        gpus=gpus(),
        cuda=torch.version.cuda,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        blas=blas(),
        utf8=utf8,
        locale=".".join(part or "C" for part in locale.getlocale()),
        chinese_font=font,
        packages=[package(name, *about) for name, about in OPTIONAL.items()],
        speed=speed,
        trainable=trainable_sizes(speed),
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
