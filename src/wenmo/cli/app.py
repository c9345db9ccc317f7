"""The verbs and where each one lives; a verb's module is imported when it is called."""

from __future__ import annotations

from cyclopts import App, Parameter

VERBS = {
    "prepare": ("wenmo.cli.data:prepare", "Read raw text, clean it, split it: a corpus ready to train on."),
    "train": ("wenmo.cli.training:train", "Train a language model on your text in the time you give it."),
    "generate": ("wenmo.cli.using:generate", "Write text with a model, or with several mixed."),
    "evaluate": ("wenmo.cli.using:evaluate", "Score a model on text: bits per byte beside strong baselines."),
    "doctor": ("wenmo.cli.machine:doctor", "Tell what this machine has and what it can train."),
}
TOKENIZER_VERBS = {
    "train": ("wenmo.cli.data:tokenizer_train", "Train a tokenizer on text."),
    "inspect": ("wenmo.cli.data:tokenizer_inspect", "Show how a tokenizer cuts text, and what it costs."),
}


def _version() -> str:
    from wenmo import __version__

    return __version__


def build_app() -> App:
    """Returns the command line with every verb registered by its import path."""
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
    return app
