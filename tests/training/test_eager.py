import subprocess
import sys
from typing import Any

import pytest
import torch

from wenmo.training import eager

KINDS: list[tuple[Any, Any, dict[str, Any]]] = [
    (eager.AdamW, torch.optim.AdamW, {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-10, "weight_decay": 0.1}),
    (eager.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("kind", "reference", "options"), KINDS)
def test_steps_are_those_of_torch(kind: Any, reference: Any, options: dict[str, Any], fused: bool) -> None:
    torch.manual_seed(0)
    first = [torch.nn.Parameter(torch.randn(5, 3)), torch.nn.Parameter(torch.randn(7))]
    second = [torch.nn.Parameter(p.detach().clone()) for p in first]
    one, other = kind(first, fused=fused, **options), reference(second, fused=fused, **options)
    for _ in range(4):
        for ours, theirs in zip(first, second, strict=True):
            ours.grad = torch.randn_like(ours)
            theirs.grad = ours.grad.clone()
        loss = one.step(lambda: 2.0)
        assert loss == other.step(lambda: 2.0) == 2.0
        one.load_state_dict(one.state_dict())
    for ours, theirs in zip(first, second, strict=True):
        assert torch.equal(ours, theirs)
    one.zero_grad()
    assert all(p.grad is None for p in first)


def test_the_compiler_is_not_imported() -> None:
    program = """
import sys, torch
from wenmo.models.transformer_config import TransformerConfig
from wenmo.models.registry import build_model
from wenmo.training.optimisation import build_optimizers
model = build_model(TransformerConfig(vocab_size=9, context_length=4, layers=1, width=8, heads=1, kv_heads=1,
    head_size=8, ffn=8))
for kind in ("muon", "adamw", "sgd"):
    for each in build_optimizers(model, kind, lr=0.1, muon_lr=0.1, weight_decay=0.1):
        model(torch.tensor([[1, 2]]))[0].sum().backward()
        each.step()
        each.load_state_dict(each.state_dict())
        each.zero_grad()
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
