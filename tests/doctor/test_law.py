import pytest

from wenmo.doctor import BUDGETS, TRAINING_SHARE, Speed
from wenmo.doctor.law import trainable_sizes


def test_sizes_follow_the_law(report):
    speeds = {
        "transformer": report.speed.transformer_parameters * report.speed.transformer_tokens_per_second,
        "mingru": report.speed.mingru_parameters * report.speed.mingru_tokens_per_second,
    }
    for row in report.trainable:
        seconds = TRAINING_SHARE * BUDGETS[row.budget]
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
            mingru_tokens_per_second=20_000 * factor,
            mingru_parameters=1_000_000,
            ngram_tokens_per_second=50_000,
        )
        return [row.parameters * row.tokens for row in trainable_sizes(speed)]

    assert all(
        fast == pytest.approx(4 * slow, rel=0.01) for slow, fast in zip(total(1), total(4), strict=True)
    )
