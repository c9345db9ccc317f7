"""The verbs and where each one lives; a verb's module is imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, Parameter

from wenmo.cli.process import processes
from wenmo.errors import OptionError
from wenmo.tasks import verbs

ONE_PROCESS = (
    "torchrun has started several processes, and only the training of a language model is divided over them; "
    "start this without torchrun"
)

VERBS = {
    "prepare": ("wenmo.cli.data:prepare", "Read raw text, clean it, split it: a corpus ready to train on."),
    "train": ("wenmo.cli.training:train", "Train a language model on your text in the time you give it."),
    "compare": ("wenmo.cli.comparing:compare", "Find out which architecture suits your text, by experiment."),
    "generate": ("wenmo.cli.using:generate", "Write text with a model, or with several mixed."),
    "evaluate": ("wenmo.cli.using:evaluate", "Score a model on text: bits per byte beside strong baselines."),
    "distil": (
        "wenmo.cli.distilling:distil",
        "Put a mixture, or any model, into one student of a given size.",
    ),
    "doctor": ("wenmo.cli.machine:doctor", "Tell what this machine has and what it can train."),
}
TOKENIZER_VERBS = {
    "train": ("wenmo.cli.data:tokenizer_train", "Train a tokenizer on text."),
    "inspect": ("wenmo.cli.data:tokenizer_inspect", "Show how a tokenizer cuts text, and what it costs."),
}


def _version() -> str:
    from wenmo import __version__

    return __version__


def build_app(words: Sequence[str] = ()) -> App:
    """Returns the command line with every verb registered by its import path.

    Args:
        words: What follows `wenmo`: `train` with `--task` has the options of that task.
    """
    if processes() > 1 and words and words[0] in {*VERBS, "tokenizer", *verbs()} - {"train"}:
        raise OptionError(ONE_PROCESS)
    app = App(
        name="wenmo",
        help="Your text in, the best language model that text and your minutes can buy out, with the proof.",
        version=_version,
        help_epilogue="wenmo VERB --help shows its options. Every verb takes --json, --quiet and --debug.",
        default_parameter=Parameter(negative_iterable=(), negative_none=()),
        suppress_keyboard_interrupt=False,
    )
    tokenizer = App(name="tokenizer", help="Train or inspect a tokenizer.")
    for name, (path, text) in TOKENIZER_VERBS.items():
        tokenizer.command(path, name=name, help=text)
    for name, (path, text) in VERBS.items():
        app.command(path, name=name, help=text)
        if name == "prepare":
            app.command(tokenizer)
    for name, (_, text) in verbs().items():
        app.command(f"wenmo.cli.tasks:{name}", name=name, help=text)
    if words[:1] == ["train"] and any(word.split("=")[0] in ("--task", "--resume") for word in words):
        _train_task(app, words[1:])
    return app


def _train_task(app: App, words: Sequence[str]) -> None:
    """Puts the settings of a task in the place of the recipe where `train` is about a task."""
    from wenmo.cli.tasks import chosen_task, train_command

    task = chosen_task(words)
    if task is not None and processes() > 1:
        raise OptionError(ONE_PROCESS)
    if task is not None:
        del app["train"]
        app.command(train_command(task), name="train")
