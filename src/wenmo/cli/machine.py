"""The verb `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wenmo.cli.options import Common

if TYPE_CHECKING:
    from wenmo.doctor import DoctorReport


def doctor(*, common: Common = Common()) -> None:  # noqa: B008 - frozen
    """Tell what this machine has, what is missing, how fast it is, and what sizes it can train.

    After installation it also compiles (about 25 seconds) what the first training would compile in its own time.
    """
    from wenmo.cli.output import print_json
    from wenmo.doctor import examine

    report = examine()
    if common.json:
        print_json(report)
    else:
        _print(report)


def _print(report: DoctorReport) -> None:
    from wenmo.cli.output import print_table
    from wenmo.progress import quantity

    speed = report.speed
    gpus = ", ".join(f"{gpu.name} ({quantity(gpu.memory, 'B')})" for gpu in report.gpus) or "none"
    font = report.chinese_font or "none"
    transformer = f"Transformer of {speed.transformer_parameters / 1e6:.2f} M parameters"
    mingru = f"minGRU of {speed.mingru_parameters / 1e6:.2f} M parameters"
    print_table(
        [
            ("wenmo", report.version),
            ("system", report.system),
            ("Python", report.python),
            ("CPU", f"{report.cpu}, {report.cores} cores"),
            ("memory", f"{quantity(report.memory_free, 'B')} free of {quantity(report.memory, 'B')}"),
            ("disk", f"{quantity(report.disk_free, 'B')} free"),
            ("GPU", f"{gpus} (torch built for CUDA {report.cuda})" if report.cuda else gpus),
            ("torch", f"{report.torch}, {report.threads} threads, {report.blas}"),
            ("text", f"UTF-8 {'yes' if report.utf8 else 'no'}, locale {report.locale}, Chinese font: {font}"),
            ("matrix products", f"{speed.fp32_gflops:.0f} fp32, {speed.bf16_gflops:.0f} bf16 GFLOP/s"),
            ("memory speed", f"{speed.memory_gb_per_second:.1f} GB/s"),
            ("training", f"{speed.transformer_tokens_per_second:,.0f} tokens/s, {transformer}"),
            ("", f"{speed.mingru_tokens_per_second:,.0f} tokens/s, {mingru}"),
            ("counting", f"{speed.ngram_tokens_per_second:,.0f} tokens/s, n-gram model"),
        ],
        header=("", f"measured on {speed.device}"),
    )
    print("\nWhat it can train, if there is text enough:")
    print_table(
        [
            (row.budget, row.architecture, quantity(row.parameters, ""), quantity(row.tokens, ""))
            for row in report.trainable
        ],
        header=("budget", "architecture", "parameters", "tokens seen"),
        numeric=(2, 3),
    )
    print(f"({report.law})")
    missing = [package for package in report.packages if package.version is None]
    if missing:
        print("\nOptional packages that are not installed:")
        for package in missing:
            print(f"  {package.name}: for {package.purpose}; pip install 'wenmo[{package.extra}]'")
    for problem in report.problems:
        print(f"\nNote: {problem}.")
