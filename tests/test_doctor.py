"""The doctor's measurements and the law behind its sizes."""

import os
import sys
import time

import pytest

from wenmo import doctor
from wenmo.doctor import DoctorReport, Speed


@pytest.fixture(scope="module")
def report():
    return doctor.examine()


def test_report_describes_this_process(report):
    import torch

    assert report.torch == torch.__version__
    assert report.threads == torch.get_num_threads()
    assert report.python.split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert 1 <= report.cores <= os.cpu_count()
    assert 0 < report.memory_free <= report.memory
    assert report.disk_free > 0
    assert len(report.gpus) == torch.cuda.device_count()
    assert report.blas in torch.__config__.show()


def test_measured_speeds_are_plausible(report):
    speed = report.speed
    assert 0.05 < speed.fp32_gflops < 1e6
    assert 0.05 < speed.memory_gb_per_second < 1e5
    # A training step cannot do more operations than bare matrix products do; noise gets a factor.
    for parameters, tokens in (
        (speed.transformer_parameters, speed.transformer_tokens_per_second),
        (speed.lstm_parameters, speed.lstm_tokens_per_second),
    ):
        assert 500_000 < parameters < 2_000_000
        assert 0 < 6 * parameters * tokens < 20e9 * max(speed.fp32_gflops, speed.bf16_gflops)


def test_sizes_follow_the_law(report):
    speeds = {
        "transformer": report.speed.transformer_parameters * report.speed.transformer_tokens_per_second,
        "lstm": report.speed.lstm_parameters * report.speed.lstm_tokens_per_second,
    }
    for row in report.trainable:
        seconds = doctor.TRAINING_SHARE * doctor.BUDGETS[row.budget]
        assert row.parameters * row.tokens == pytest.approx(speeds[row.architecture] * seconds, rel=0.01)
    for architecture in speeds:
        sizes = [row.parameters for row in report.trainable if row.architecture == architecture]
        assert sizes == sorted(sizes)


def test_a_faster_machine_trains_more():
    def total(factor):
        speed = Speed(
            device="cpu",
            fp32_gflops=100 * factor,
            bf16_gflops=50 * factor,
            memory_gb_per_second=10,
            transformer_tokens_per_second=20_000 * factor,
            transformer_parameters=1_000_000,
            lstm_tokens_per_second=20_000 * factor,
            lstm_parameters=1_000_000,
        )
        return [row.parameters * row.tokens for row in doctor._trainable(speed)]

    assert all(
        fast == pytest.approx(4 * slow, rel=0.01) for slow, fast in zip(total(1), total(4), strict=True)
    )


def test_missing_packages_are_named_with_purpose_and_extra():
    found = doctor._package("no_such_package_at_all", "nothing", "dev")
    assert found.version is None and found.purpose == "nothing" and found.extra == "dev"
    assert doctor._package("pytest", "tests", "dev").version == pytest.__version__


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ((1e9, 1e12, True, "Noto Sans CJK SC", "cpu"), "memory"),
        ((1e11, 1e8, True, "Noto Sans CJK SC", "cpu"), "disk"),
        ((1e11, 1e12, False, "Noto Sans CJK SC", "cpu"), "UTF-8"),
        ((1e11, 1e12, True, None, "cpu"), "font"),
    ],
)
def test_each_problem_is_a_sentence_with_what_to_do(values, word, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (problem,) = doctor._problems(*values)
    assert word in problem
    assert not doctor._problems(1e11, 1e12, True, "Noto Sans CJK SC", "cpu")


def test_an_unused_gpu_is_reported(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "NVIDIA" in doctor._problems(1e11, 1e12, True, "Noto", "cpu")[0]
    assert not doctor._problems(1e11, 1e12, True, "Noto", "cuda")


def test_memory_of_a_container_is_its_limit(tmp_path, monkeypatch):
    (tmp_path / "limit").write_text("1000000")
    (tmp_path / "used").write_text("400000")
    monkeypatch.setattr(doctor, "_MEMORY_LIMITS", (str(tmp_path / "limit"),))
    monkeypatch.setattr(doctor, "_MEMORY_USES", (str(tmp_path / "used"),))
    assert doctor._memory() == (1_000_000, 600_000)
    (tmp_path / "limit").write_text("max")
    total, free = doctor._memory()
    assert total > 1_000_000 and 0 < free <= total


def test_median_is_of_at_least_the_wanted_runs():
    calls = []
    seconds = doctor._median_seconds(lambda: (calls.append(1), time.sleep(0.001)), at_least=4, within=0.0)
    assert len(calls) == 5  # one to warm up
    assert seconds >= 0.001


def test_json_has_the_documented_fields(report):
    assert DoctorReport.model_validate_json(report.model_dump_json()) == report
