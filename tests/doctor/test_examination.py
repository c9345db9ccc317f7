import os
import shutil
import sys

import pytest

from wenmo.doctor import DoctorReport
from wenmo.doctor.examination import _problems


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


def test_json_has_the_documented_fields(report):
    assert DoctorReport.model_validate_json(report.model_dump_json()) == report


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
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (problem,) = _problems(*values)
    assert word in problem
    assert not _problems(1e11, 1e12, True, "Noto Sans CJK SC", "cpu")


def test_an_unused_gpu_is_reported(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "NVIDIA" in _problems(1e11, 1e12, True, "Noto", "cpu")[0]
    assert not _problems(1e11, 1e12, True, "Noto", "cuda")
