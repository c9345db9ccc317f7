import time

from wenmo.doctor.speed import _median_seconds


def test_measured_speeds_are_plausible(report):
    speed = report.speed
    assert 0.05 < speed.fp32_gflops < 1e6
    assert 0.05 < speed.memory_gb_per_second < 1e5
    # A training step cannot do more operations than bare matrix products do; noise gets a factor.
    for parameters, tokens in (
        (speed.transformer_parameters, speed.transformer_tokens_per_second),
        (speed.mingru_parameters, speed.mingru_tokens_per_second),
    ):
        assert 500_000 < parameters < 2_000_000
        assert 0 < 6 * parameters * tokens < 20e9 * max(speed.fp32_gflops, speed.bf16_gflops)
    assert 100 < speed.ngram_tokens_per_second < 1e7


def test_median_is_of_at_least_the_wanted_runs():
    calls = []
    seconds = _median_seconds(lambda: (calls.append(1), time.sleep(0.001)), at_least=4, within=0.0)
    assert len(calls) == 5  # one to warm up
    assert seconds >= 0.001
