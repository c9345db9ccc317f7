"""What `wenmo doctor` reports; its JSON has these fields."""

from __future__ import annotations

from pydantic import BaseModel


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
    """Measured in about four seconds on the device that `wenmo train` would take."""

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
    mingru_tokens_per_second: float
    """Training steps of a small minGRU (see `mingru_parameters`)."""
    mingru_parameters: int
    ngram_tokens_per_second: float
    """Counting by an n-gram model."""


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
