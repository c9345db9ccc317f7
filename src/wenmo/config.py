"""Settings: frozen, validated, and the only place where a default is written.

Every field is an option of the command line (`--training.lr`), of YAML files and of the Python API, under one
name with one default. `None` means "derived from the text and the budget"; the resolved value is printed and saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

NeuralArchitecture = Literal["transformer", "wenmo", "lstm", "gru", "rnn", "mingru", "minlstm", "rglru"]
Architecture = Literal["auto", NeuralArchitecture, "ngram", "mixture"]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class Settings(BaseModel):
    """Base of all settings: immutable, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class CorpusSettings(Settings):
    """How raw files become a corpus."""

    text_field: str | None = None
    """Field or column that holds the text in .jsonl, .csv, .tsv and .parquet; guessed and reported when not given."""
    encoding: str | None = None
    """Encoding of the text files; detected per file when not given."""
    valid_fraction: Fraction = 0.05
    """Share of the text held out to steer training."""
    test_fraction: Fraction = 0.05
    """Share of the text held out for the final score."""
    valid: tuple[str, ...] = ()
    """Files, folders or patterns whose text steers training, instead of a share of the rest."""
    test: tuple[str, ...] = ()
    """Files, folders or patterns whose text gives the final score, instead of a share of the rest."""
    deduplicate: bool = True
    """Drop documents whose text was already seen."""
    min_chars: Annotated[int, Field(ge=1)] = 1
    """Shortest document kept, in characters after cleaning."""
    seed: int = 0
    """Seed of the split."""


class TokenizerSettings(Settings):
    """Which tokenizer is trained."""

    kind: Literal["auto", "bpe", "char", "byte"] = "auto"
    """Byte-level BPE, characters (with bytes for unseen ones), or bytes."""
    vocab_size: Annotated[int, Field(ge=257, le=1_000_000)] | None = None
    """Number of tokens; chosen from the size of the corpus when not given."""


class ModelSettings(Settings):
    """Shape of a neural model; None is derived from `size`, the text and the budget."""

    layout: Literal["qwen3", "llama", "gpt2"] = "qwen3"
    """Layout of a Transformer as Hugging Face names it."""
    layers: Annotated[int, Field(ge=1)] | None = None
    """Number of layers."""
    width: Annotated[int, Field(ge=8)] | None = None
    """Hidden size."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads (transformer, wenmo), or blocks of the gates' matrices (rglru)."""
    kv_heads: Annotated[int, Field(ge=1)] | None = None
    """Key-value heads (transformer, wenmo); equal to `heads` when not given."""
    context: Annotated[int, Field(ge=8)] | None = None
    """Context length in tokens."""
    dropout: Fraction | None = None
    """Dropout; None scales it with the number of epochs."""
    recurrent_dropout: Fraction | None = None
    """Dropout of the hidden-to-hidden weights (rnn, lstm, gru)."""
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Nonlinearity of the Elman network (rnn)."""
    activation: Literal["swiglu", "relu2"] | None = None
    """Nonlinearity of the feed-forward network (wenmo, mingru, minlstm, rglru): SwiGLU, or the square of ReLU."""
    residual_scalars: bool | None = None
    """Learned weights of the stream and of the first layer's input before each layer (wenmo)."""
    value_embeddings: bool | None = None
    """Vectors of the tokens added to the attention values of every second layer (wenmo)."""
    bigrams: Annotated[int, Field(ge=0)] | None = None
    """Rows of a table of pairs of neighbouring tokens that is added to the input (wenmo); 0 is none."""
    convolution: Annotated[int, Field(ge=1)] | None = None
    """Tokens that the convolution before each recurrence reads (mingru, minlstm, rglru); 1 is none."""
    gated: bool | None = None
    """Multiply the state by GELU of another projection of the input (mingru, minlstm, rglru)."""
    tied: bool = True
    """Share the embedding with the output layer."""


class TrainingSettings(Settings):
    """How a neural model is optimised."""

    optimizer: Literal["auto", "muon", "adamw", "sgd"] = "auto"
    """`auto` takes Muon where a batch is large enough to pay for it, else AdamW."""
    lr: Annotated[float, Field(gt=0)] | None = None
    """Peak learning rate of AdamW or SGD (with Muon: of its AdamW part)."""
    muon_lr: Annotated[float, Field(gt=0)] | None = None
    """Peak learning rate of Muon."""
    schedule: Literal["wsd", "cosine", "constant"] = "wsd"
    """Warm-up-stable-decay, cosine, or constant after the warm-up."""
    warmup: Fraction = 0.02
    """Share of the training time spent warming up."""
    decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """Share of the training time spent decaying (wsd)."""
    batch_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens per optimiser step."""
    micro_batch_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens per forward pass; smaller than `batch_tokens` accumulates gradients."""
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    """Decoupled weight decay of the matrices."""
    embedding_decay: Annotated[float, Field(ge=0)] | None = None
    """Decoupled weight decay of the embedding and the output layer; when not given, they shrink as fast as the matrices
    from six passes over the text on, and not at all below three or with SGD."""
    embedding_init: Literal["text", "random"] = "text"
    """Whether the embedding begins with what the text says of its tokens' neighbours, where it is to be seen ten times
    at most, or with random numbers."""
    label_smoothing: Fraction = 0.0
    """Probability mass spread over the whole vocabulary in the training loss."""
    softmax: Literal["auto", "full", "sampled"] = "auto"
    """Whether the training loss compares with the whole vocabulary or, in one process on a CPU, with a sample of its
    rarer tokens; `auto` samples from vocabularies of 2,560 tokens on where that makes steps 1.2 times as fast."""
    clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of the gradient; 0 switches clipping off."""
    averaging: Literal["ema", "none"] = "ema"
    """Weights that are evaluated and saved: an exponential moving average, or the last ones."""
    ema_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Memory of the average, as a share of the steps taken so far."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Optimiser steps; replaces the time budget."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the training text; replaces the time budget."""
    evaluations: Annotated[int, Field(ge=1)] = 12
    """How often the held-out loss is measured during training."""
    patience: Annotated[int, Field(ge=1)] = 4
    """Evaluations without a better held-out loss before training stops early."""
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Time between checkpoints for resuming."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the matrix products; `auto` measures which is faster."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile; `auto` is on for a transformer or wenmo on CUDA that trains for ten minutes or more."""
    checkpoint_activations: bool = False
    """Compute what is inside of a Transformer's layers once more in the backward pass instead of keeping it: less
    memory, and about a third more time."""
    parallel: Literal["auto", "ddp", "fsdp"] = "auto"
    """How the processes that `torchrun` starts divide the model: each has a copy (ddp), or a slice of it (fsdp); `auto`
    slices what does not fit as a copy."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads; all cores when not given."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Workers that each train on a part of the batch (CPU); chosen by timing when not given, 1 for none."""
    worker_kind: Literal["auto", "threads", "processes"] = "auto"
    """What these workers are: threads of this process, or processes that it forks (Linux), which do not wait for each
    other's Python; `auto` takes the faster ones, by timing."""
    seed: int = 0
    """Seed of initialisation, order and dropout."""


class SamplingSettings(Settings):
    """How the next token is drawn. Names, order and meaning follow llama.cpp; 0 or 1 means off as it does there."""

    temperature: Annotated[float, Field(ge=0)] = 0.8
    """Flattens (above 1) or sharpens (below 1) the distribution; 0 takes the likeliest token."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Nucleus sampling: keep the smallest set of tokens with this probability; 1 keeps all."""
    min_p: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Keep tokens with at least this share of the likeliest one's probability; 0 keeps all."""
    typical_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Locally typical sampling; 1 keeps all."""
    repeat_last_n: Annotated[int, Field(ge=-1)] = 64
    """Tokens the penalties look back at; 0 none, -1 the whole text."""
    repeat_penalty: Annotated[float, Field(gt=0)] = 1.0
    """Divides the logits of tokens already used; 1 is off."""
    presence_penalty: float = 0.0
    """Subtracted once from the logits of tokens already used."""
    frequency_penalty: float = 0.0
    """Subtracted from the logits of tokens once for each use."""
    dry_multiplier: Annotated[float, Field(ge=0)] = 0.0
    """DRY (don't repeat yourself): strength of the penalty on continuing a repeated sequence; 0 is off."""
    dry_base: Annotated[float, Field(ge=1)] = 1.75
    """DRY: growth of the penalty with the length of the repeated sequence."""
    dry_allowed_length: Annotated[int, Field(ge=0)] = 2
    """DRY: longest repeated sequence that is not penalised."""
    dry_penalty_last_n: Annotated[int, Field(ge=-1)] = -1
    """DRY: tokens looked back at; 0 none, -1 the whole text."""
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    """DRY: strings across which a sequence does not continue."""
    samplers: tuple[str, ...] = ("penalties", "dry", "top_k", "typ_p", "top_p", "min_p", "temperature")
    """Order in which the samplers are applied."""


class GenerationSettings(SamplingSettings):
    """What is generated, and when it ends."""

    max_tokens: Annotated[int, Field(ge=1)] = 256
    """Most tokens to generate."""
    n: Annotated[int, Field(ge=1)] = 1
    """Number of samples."""
    beams: Annotated[int, Field(ge=1, le=1024)] = 1
    """Beam search width; 1 samples."""
    length_penalty: float = 1.0
    """Beam search: the score is the log-probability divided by length to this power."""
    stop: tuple[str, ...] = ()
    """Strings that end the text (not shown)."""
    seed: int | None = None
    """Seed of the sampling; random when not given."""
    ignore_eos: bool = False
    """Go on after the end of a document."""
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"
    """Number format of the weights while writing; `auto` takes int8 where reading them costs the most time."""


class CompareSettings(Settings):
    """The experiment by which `--arch auto` chooses its neural family."""

    share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    """Share of a budget of ten minutes or more in which `--arch auto` first tries the families; 0 tries none."""


class Recipe(Settings):
    """Everything that decides a training run. The resolved recipe is saved with the model and repeats the run."""

    architecture: Architecture = "auto"
    """Model family; `auto` mixes a network with n-grams: on a CPU a minGRU, elsewhere a Transformer, from ten minutes
    on the one that the text wants; `mixture` mixes the `members`."""
    members: tuple[str, ...] = ()
    """Families in a mixture; transformer,ngram when none is named, with the network of `auto` in the first place if the
    architecture is `auto` and the shape of the model is left open."""
    budget: str | None = "10m"
    """Wall-clock time for the whole run: `90s`, `10m`, `2h`."""
    target: str | None = None
    """Score on held-out text to train to: `1.9bpb` or `80ppl`; without --budget, asks how long that takes."""
    size: str | None = None
    """Parameters of the neural model: `800k`, `5M`; derived when not given."""
    corpus: CorpusSettings = CorpusSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    generation: GenerationSettings = GenerationSettings()
    compare: CompareSettings = CompareSettings()


class ComparisonRecipe(Settings):
    """Everything that decides a comparison of architectures."""

    architectures: tuple[str, ...] = ()
    """Families to compare, with commas between them; all neural ones when none is named."""
    seeds: Annotated[int, Field(ge=2, le=50)] = 3
    """Trainings of full length for each family."""
    target_budget: str | None = None
    """Budget of the training that the comparison is for, such as `1h`; as long as `budget` when not given."""
    budget: str | None = "10m"
    """Wall-clock time for the whole comparison."""
    size: str | None = None
    """Parameters of every model: `800k`, `5M`; derived when not given."""
    corpus: CorpusSettings = CorpusSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()


class DistilRecipe(Settings):
    """Everything that decides how a model is put into one student."""

    architecture: Architecture = "transformer"
    """Family of the student."""
    budget: str | None = "10m"
    """Wall-clock time for the whole run: `90s`, `10m`, `2h`."""
    size: str | None = None
    """Parameters of the student: `800k`, `5M`; derived when not given."""
    hard: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of the true next token in the loss; the rest is what the teacher says of it."""
    folds: Annotated[int, Field(ge=2, le=64)] = 4
    """Parts of the text, each predicted by an n-gram model that has counted the others."""
    cache: bool = False
    """Give the student a cache over its own hidden vectors, with weights fitted on held-out text: a better score, and
    a model that only wenmo reads."""
    corpus: CorpusSettings = CorpusSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()


def cache_directory() -> Path:
    """Folder for compiled kernels and prepared corpora that may be deleted at any time."""
    import os

    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "wenmo"
