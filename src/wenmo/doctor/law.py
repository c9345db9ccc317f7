"""What a budget trains on a machine of a measured speed."""

from __future__ import annotations

from wenmo.doctor.report import Speed, Trainable

LAW = (
    "A training step costs 6 operations per parameter and token (Kaplan et al. 2020); "
    "parameters by the dial of wenmo train at the measured speed, with text that does not repeat."
)
TRAINING_SHARE = 0.8
"""Part of a budget left for training steps after reading, tokenizing, scoring and saving."""
BUDGETS = {"1m": 60.0, "10m": 600.0, "1h": 3600.0}


def trainable_sizes(speed: Speed) -> list[Trainable]:
    """Sizes by the law of the dial, at the measured speed of training, with text that never repeats."""
    from wenmo.training.budget import EFFICIENCY, choose_parameters

    measured = {
        "transformer": 6.0 * speed.transformer_parameters * speed.transformer_tokens_per_second,
        "mingru": 6.0 * speed.mingru_parameters * speed.mingru_tokens_per_second,
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
