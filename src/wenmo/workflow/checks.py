"""Options that contradict each other, or would do nothing, are refused before anything is done."""

from __future__ import annotations

from wenmo.config import CompareSettings, ModelSettings, Recipe, TrainingSettings
from wenmo.errors import OptionError
from wenmo.models.registry import neural_architectures
from wenmo.models.sizes import parse_size
from wenmo.training import budget as dial
from wenmo.training import hardware
from wenmo.training.world import processes
from wenmo.workflow.members import member_names
from wenmo.workflow.target import parse_target

_ATTENTION = set(neural_architectures("transformer"))
_SCANS = set(neural_architectures("scan"))
_USERS = {
    "layout": {"transformer"},
    "heads": _ATTENTION | {"rglru"},
    "kv_heads": _ATTENTION,
    "recurrent_dropout": set(neural_architectures("recurrent")),
    "nonlinearity": {"rnn"},
    "activation": _SCANS | {"wenmo"},
    "residual_scalars": {"wenmo"},
    "value_embeddings": {"wenmo"},
    "bigrams": {"wenmo"},
    "convolution": _SCANS,
    "gated": _SCANS,
}
"""Fields of the model's shape -> families that have them."""
_FOR_ALL = {"seed", "threads", "device"}
"""Training settings that also matter where only an n-gram model is trained."""


def check_recipe(recipe: Recipe) -> Recipe:
    """Refuses what cannot work before anything is done.

    Raises:
        OptionError: Naming the option.
    """
    names = member_names(recipe)
    neural = [name for name in names if name != "ngram"]
    training = recipe.training
    if training.steps is not None and training.epochs is not None:
        raise OptionError("--training.steps and --training.epochs both say when to stop; give one of them")
    if recipe.budget is not None:
        dial.parse_duration(recipe.budget)
    elif training.steps is None and training.epochs is None and neural:
        raise OptionError("without --budget, say when to stop with --training.steps or --training.epochs")
    if recipe.size is not None:
        parse_size(recipe.size)
    if recipe.target is not None:
        parse_target(recipe.target)
        if not neural:
            raise OptionError(
                "--target has no effect on an n-gram model, which reads its text once; leave it out"
            )
    if not (recipe.corpus.valid_fraction or recipe.corpus.valid):
        raise OptionError("--corpus.valid-fraction must be above 0: the text held out steers the training")
    if sum(name.startswith("ngram") for name in names) > 1:
        raise OptionError("--members: one ngram is enough; a second would be the same")
    if not neural and (recipe.size or recipe.model.layers or recipe.model.width):
        raise OptionError(
            "--size, --model.layers and --model.width shape a neural model, and none is trained here"
        )
    device = hardware.choose_device(training.device)
    if training.compile == "on" and hardware.compiler(device) is None:
        raise OptionError(
            f"--training.compile on needs a {'C' if device == 'cuda' else 'C++'} compiler, and none is found here; "
            "install gcc or leave it out"
        )
    if training.softmax == "sampled" and (found := dial.hinders_sampling(training, device, processes())):
        raise OptionError(f"--training.softmax sampled does not go with {' or '.join(found)}; leave one out")
    if training.parallel != "auto" and processes() == 1:
        raise OptionError(
            f"--training.parallel {training.parallel} divides a model over several processes, and this is one; start "
            "them with: torchrun --nproc-per-node 2 -m wenmo train ..."
        )
    if recipe.compare != CompareSettings() and recipe.architecture != "auto":
        raise OptionError(
            f"--compare.share is for --arch auto, and --arch is {recipe.architecture}; leave it out"
        )
    _refuse_idle(recipe, {name.split("-")[0] for name in neural})
    return recipe


def _refuse_idle(recipe: Recipe, families: set[str]) -> None:
    """Refuses options that would do nothing, given the families that are trained."""
    plain_model, plain_training = ModelSettings(), TrainingSettings()
    for field, users in _USERS.items():
        if getattr(recipe.model, field) != getattr(plain_model, field) and not families & users:
            raise OptionError(
                f"--model.{field.replace('_', '-')} is for {', '.join(sorted(users))}, and none of them is trained here"
            )
    changed = {
        field
        for field in TrainingSettings.model_fields
        if getattr(recipe.training, field) != getattr(plain_training, field)
    }
    idle = changed - _FOR_ALL if not families else set()
    training = recipe.training
    idle |= {"muon_lr"} & changed if training.optimizer in ("adamw", "sgd") else set()
    idle |= {"decay"} & changed if training.schedule != "wsd" else set()
    idle |= {"ema_share"} & changed if training.averaging == "none" else set()
    idle |= {"checkpoint_activations"} & changed if "transformer" not in families else set()
    idle |= {"compile"} if training.compile == "on" and not families & _ATTENTION else set()
    if idle:
        option = f"--training.{min(idle).replace('_', '-')}"
        raise OptionError(f"{option} has no effect with what else was chosen; leave it out")
