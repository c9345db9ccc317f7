"""The JSON of every verb is frozen: what docs/json.md promises is what is printed, no more and no less."""

import json
import re
from pathlib import Path

import pytest

from wenmo.cli import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "json.md"
FROZEN = {
    "error": {"error", "exit_code"},
    "prepare": {"corpus", "fingerprint", "documents", "bytes", "report", "manifest", "seconds"},
    "tokenizer train": {"tokenizer", "kind", "vocab_size", "bytes", "fingerprint", "seconds"},
    "tokenizer inspect": {
        *(
            "kind",
            "vocab_size",
            "bytes",
            "characters",
            "tokens",
            "bytes_per_token",
            "bytes_per_token_by_script",
        ),
        *("whole_characters", "split_characters", "vocabulary_used", "longest", "most_frequent", "example"),
    },
    "train": {
        *("model", "seconds", "budget", "bits_per_byte", "protocol", "static_bits_per_byte", "bytes"),
        *("baselines", "members", "weights", "parameters", "stopped", "verdict", "samples", "report"),
        *("diversity", "human_diversity", "stages", "predicted", "target", "overfitting", "twice_the_text"),
        "gains",
    },
    "train --target": {
        *(
            "target_bits_per_byte",
            "reachable",
            "seconds",
            "seconds_low",
            "seconds_high",
            "floor",
            "floor_low",
        ),
        *("floor_high", "probes", "ngram", "spent", "sentence"),
    },
    "distil": {
        *("model", "seconds", "budget", "bits_per_byte", "protocol", "static_bits_per_byte", "bytes"),
        *("baselines", "members", "weights", "parameters", "stopped", "verdict", "samples", "report"),
        *("diversity", "human_diversity", "stages", "predicted", "target", "overfitting", "twice_the_text"),
        *("gains", "teacher"),
    },
    "compare": {
        *("comparison", "report", "seconds", "budget", "trial", "trial_seconds", "target", "target_seconds"),
        *(
            "recommended",
            "decided",
            "recommendation",
            "families",
            "pairs",
            "test",
            "ngram",
            "bytes",
            "failed",
        ),
        "corpus",
    },
    "keywords": {"count", "documents", "overall", "dropped"},
    "topics": {"topics", "why", "documents", "unassigned"},
    "similar": {"texts"},
    "train --task": {
        *("task", "model", "seconds", "budget", "metric", "score", "scores", "baselines", "signatures"),
        *("examples", "dropped", "verdict", "notes", "report"),
    },
    "chat": {
        *("model", "trained_to_chat", "messages", "answers", "finish_reason", "tokens", "reused_tokens"),
        "seconds",
    },
    "chat --file": {"output", "rows", "failed"},
    "translate": {"translations", "documents"},
    "sentiment": {"results"},
    "ask": {"question", "found", "answer", "confidence", "answers", "considered", "note"},
    "generate": {"models", "prompt", "completions", "seconds", "tokens_per_second"},
    "evaluate": {
        *("model", "bits_per_byte", "perplexity", "protocol", "bytes", "documents", "tokens", "complete"),
        *("tokens_per_second", "seconds", "members", "baselines", "baselines_primed", "primed_bytes"),
    },
    "doctor": {
        *(
            "version",
            "system",
            "python",
            "cpu",
            "cores",
            "memory",
            "memory_free",
            "disk_free",
            "gpus",
            "cuda",
        ),
        *("torch", "threads", "blas", "utf8", "locale", "chinese_font", "packages", "speed", "trainable"),
        *("law", "problems"),
    },
}
"""Fields may be added here; one that is taken out or renamed breaks the scripts of users."""


def documented():
    """Verb -> fields in the tables of docs/json.md."""
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {
        section.splitlines()[0].strip(): set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        for section in sections
    }


def printed(capsys, *words):
    """Runs a verb with --json and returns the object on standard output."""
    capsys.readouterr()
    status = main([*words, "--json", "--quiet"])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    return json.loads(shown.out)


@pytest.fixture(scope="module")
def texts(tmp_path_factory, chinese_documents, english_documents):
    """A folder with a file in each language."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "zh.txt").write_text("\n\n".join(chinese_documents), encoding="utf-8")
    (folder / "en.txt").write_text("\n\n".join(english_documents), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_tokenizers):
    """A tiny model with random weights, saved."""
    import torch

    from wenmo.config import ModelSettings
    from wenmo.models.registry import build_config, build_model
    from wenmo.models.storage import save_model

    torch.manual_seed(0)
    tokenizer = tiny_tokenizers["bpe"]
    settings = ModelSettings(layers=1, width=16, context=32)
    built = build_model(build_config("lstm", vocab_size=tokenizer.vocab_size, settings=settings))
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(built, folder, tokenizer=tokenizer)
    return folder


def test_the_page_documents_exactly_the_frozen_fields():
    assert documented() == FROZEN


def test_results_have_the_frozen_fields():
    from wenmo.comparison.results import ComparisonResult
    from wenmo.distillation import DistilResult
    from wenmo.doctor import DoctorReport
    from wenmo.tasking.contract import TaskResult
    from wenmo.workflow.result import TrainResult

    assert set(TrainResult.model_fields) == FROZEN["train"]
    assert set(DistilResult.model_fields) == FROZEN["distil"]
    assert set(TaskResult.model_fields) == FROZEN["train --task"]
    assert set(ComparisonResult.model_fields) == FROZEN["compare"]
    assert set(DoctorReport.model_fields) == FROZEN["doctor"]


def test_semantics(capsys, texts, tmp_path):
    printed(
        capsys,
        "train",
        "--task",
        "semantics",
        str(texts),
        "-o",
        str(tmp_path / "m"),
        "--unit",
        "line",
        "--topics",
        "2",
    )
    found = printed(capsys, "keywords", str(texts), "早上", "--model", str(tmp_path / "m"))
    assert set(found) == FROZEN["keywords"] and found["count"] == len(found["documents"]) > 1
    assert set(found["documents"][0]) == {"source", "keywords"}
    assert set(found["documents"][-1]["keywords"][0]) == {"text", "score", "count", "documents"}
    overall = printed(capsys, "keywords", str(texts), "--overall")
    assert set(overall) == FROZEN["keywords"] and overall["documents"] == [] and overall["overall"]
    found = printed(capsys, "topics", str(tmp_path / "m"), "早上")
    assert set(found) == FROZEN["topics"] and len(found["topics"]) == 2
    assert set(found["topics"][0]) == {"number", "label", "words", "documents", "share"}
    assert set(found["documents"][0]) == {"text", "topic", "label", "share", "fit"}
    found = printed(capsys, "similar", str(tmp_path / "m"), "早上 the bridge")
    assert set(found) == FROZEN["similar"] and set(found["texts"][0]) == {"text", "similar"}
    assert set(found["texts"][0]["similar"][0]) == {"source", "excerpt", "similarity"}


def test_prepare(capsys, texts, tmp_path):
    result = printed(capsys, "prepare", str(texts), "-o", str(tmp_path / "corpus"))
    assert set(result) == FROZEN["prepare"]
    assert set(result["documents"]) == set(result["bytes"]) == {"train", "valid", "test"}
    kept = sum(result["bytes"].values())
    assert 0.9 < kept / sum(path.stat().st_size for path in texts.iterdir()) <= 1
    assert Path(result["report"]).is_file()


def test_tokenizer_train(capsys, texts, tmp_path):
    out = tmp_path / "tokenizer"
    words = ["tokenizer", "train", str(texts), "-o", str(out), "--kind", "bpe", "--vocab-size", "400"]
    result = printed(capsys, *words)
    assert set(result) == FROZEN["tokenizer train"]
    assert (result["kind"], result["vocab_size"]) == ("bpe", 400)
    assert main(words) == 2  # what is there is not written over
    assert "exists" in capsys.readouterr().err


def test_tokenizer_inspect(capsys, model, texts):
    result = printed(capsys, "tokenizer", "inspect", str(model), "小梅 and Anna")
    assert set(result) == FROZEN["tokenizer inspect"]
    assert result["characters"] == 11 and result["bytes"] == 15
    assert "␣" in "".join(result["example"])
    files = printed(capsys, "tokenizer", "inspect", str(model), "--path", str(texts / "zh.txt"))
    assert files["bytes"] == pytest.approx((texts / "zh.txt").stat().st_size, rel=0.01)
    assert main(["tokenizer", "inspect", str(model), "both", "--path", "x"]) == 2


def test_generate(capsys, model):
    words = ["generate", str(model), "早上", "--max-tokens", "5", "--n", "2", "--seed", "3", "--ignore-eos"]
    result = printed(capsys, *words)
    assert set(result) == FROZEN["generate"]
    assert (result["models"], result["prompt"]) == ([str(model)], "早上")
    assert len(result["completions"]) == 2
    for completion in result["completions"]:
        assert set(completion) == {"text", "tokens", "logprobs", "finish_reason", "notes", "precision"}
        assert len(completion["tokens"]) == len(completion["logprobs"]) == 5
        assert completion["finish_reason"] == "length"
    again = printed(capsys, *words)
    assert [c["tokens"] for c in again["completions"]] == [c["tokens"] for c in result["completions"]]


def test_chat(capsys, model, tmp_path):
    words = [
        "chat",
        str(model),
        "--message",
        "早上",
        "--message",
        "Hello",
        "--max-tokens",
        "4",
        "--seed",
        "3",
    ]
    result = printed(capsys, *words)
    assert set(result) == FROZEN["chat"]
    assert result["trained_to_chat"] is False
    assert [each["role"] for each in result["messages"]] == ["user", "assistant"] * 2
    assert len(result["answers"]) == 2 and result["reused_tokens"] > 0
    rows = tmp_path / "rows.csv"
    rows.write_text("prompt\n早上好\nGood morning\n", encoding="utf-8")
    words = [
        "chat",
        str(model),
        "--file",
        str(rows),
        "--output",
        str(tmp_path / "out.jsonl"),
        "--max-tokens",
        "4",
    ]
    assert printed(capsys, *words) == {"output": str(tmp_path / "out.jsonl"), "rows": 2, "failed": 0}
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [set(row) for row in written] == [{"prompt", "answer", "finish_reason"}] * 2


def test_streamed_text_is_the_text_of_the_object(capsys, model):
    words = ["generate", str(model), "The bridge", "--max-tokens", "40", "--seed", "5"]
    (completion,) = printed(capsys, *words)["completions"]
    assert main(words) == 0
    assert capsys.readouterr().out == completion["text"] + "\n"


def test_evaluate(capsys, model, texts):
    result = printed(capsys, "evaluate", str(model), str(texts / "zh.txt"), "--max-bytes", "3000")
    assert set(result) == FROZEN["evaluate"]
    assert set(result["baselines"]) == {"ppmd", "xz", "ngram"}
    assert 2900 < result["bytes"] <= 3000
    assert result["complete"] is False
    # Random weights know nothing: about log2(400) bits for a token.
    expected = 8.64 * result["tokens"] / result["bytes"]
    assert result["bits_per_byte"] == pytest.approx(expected, rel=0.1)


def test_evaluate_scores_all_of_a_file_and_leaves_the_baselines_out(capsys, model, texts):
    result = printed(capsys, "evaluate", str(model), str(texts / "en.txt"), "--no-baselines")
    assert result["baselines"] == {}
    assert result["complete"] is True
    assert result["bytes"] == pytest.approx((texts / "en.txt").stat().st_size, rel=0.01)
