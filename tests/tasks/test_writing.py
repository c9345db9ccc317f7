"""Writing from the outside: from a model of raw text, on the command line, with other verbs, and alone."""

import io
import json
import os
import signal
from pathlib import Path

import case_writing
import pytest

import wenmo
from wenmo.cli import main
from wenmo.config import ModelSettings
from wenmo.errors import Interrupted
from wenmo.models.registry import build_config, build_model
from wenmo.models.storage import load_model, save_model

FACTS = {
    "苹果": "红",
    "香蕉": "黄",
    "叶子": "绿",
    "天空": "蓝",
    "snow": "white",
    "coal": "black",
    "grass": "green",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_tokenizers):
    """A tiny model of plain text."""
    import torch

    torch.manual_seed(0)
    tokenizer = tiny_tokenizers["bpe"]
    settings = ModelSettings(layers=2, width=64, context=64)
    model = build_model(build_config("transformer", vocab_size=tokenizer.vocab_size, settings=settings))
    folder = tmp_path_factory.mktemp("base") / "base"
    save_model(model, folder, tokenizer=tokenizer)
    return folder


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """Title-to-text rows that can be learned by heart."""
    path = tmp_path_factory.mktemp("facts") / "facts.csv"
    rows = [f"{thing},{number},{thing} {colour}" for thing, colour in FACTS.items() for number in "一二"]
    path.write_text("title,number,text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory, base, facts):
    """A model that has learned the rows by heart."""
    return wenmo.train_task(
        "writing", facts, tmp_path_factory.mktemp("learned") / "m", progress=False, from_model=base,
        prompt="《{title}》", valid=(str(facts_twin(facts)),), test=(str(facts_twin(facts)),), test_fraction=0,
        epochs=120, lr_scale=1.0, batch_tokens=256, budget="60s", mixture=False,
    )  # fmt: skip


def facts_twin(path):
    """The same questions in other words than the training's, so that they are not left out as learned."""
    twin = path.with_name("twin.csv")
    rows = [f"{thing}！,三,{thing} {colour}" for thing, colour in FACTS.items()]
    twin.write_text("title,number,text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return twin


def test_what_was_learned_is_answered_and_ends(learned):
    model = wenmo.load_task(learned.model)
    replies = model.predict(["天空", {"title": "snow"}], temperature=0)
    assert [(reply.text, reply.finish_reason) for reply in replies] == [
        ("天空 蓝", "stop"),
        ("snow white", "stop"),
    ]
    assert replies[0].tokens < 20


def test_the_result_stands_beside_baselines_and_people(learned):
    assert set(learned.baselines) == {"before fine-tuning", "n-gram"}
    assert learned.score < learned.baselines["before fine-tuning"]["bits_per_byte"]
    assert {"perplexity", "chrf", "nearest_chrf", "distinct_2", "self_bleu", "copied"} <= set(learned.scores)
    assert learned.dropped == {"a repeated conversation": len(FACTS)}
    info = load_model(learned.model).info
    assert set(info["diversity"]) == {"model", "people"} and info["chat"]["form"]["answer"] == "text"
    page = Path(learned.report).read_text("utf-8")
    assert "Is it copying?" in page
    assert "Before fine-tuning the model needed" in learned.verdict


def test_every_verb_of_language_models_takes_the_folder(learned, capsys, tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("天空 蓝，snow white\n" * 5, encoding="utf-8")
    assert main(["generate", learned.model, "天", "--max-tokens", "5", "--seed", "1", "--quiet"]) == 0
    assert main(["evaluate", learned.model, str(text), "--quiet"]) == 0
    mixed = ["generate", learned.model, "--model", learned.model, "天", "--max-tokens", "3", "--quiet"]
    assert main(mixed) == 0
    assert "<|" not in capsys.readouterr().out
    settings = json.loads((load_model(learned.model).directory / "generation_config.json").read_text("utf-8"))
    assert settings["eos_token_id"] == sorted(load_model(learned.model).tokenizer.end_ids)


def test_chat_on_the_command_line(learned, capsys, monkeypatch, tmp_path):
    capsys.readouterr()
    words = ["chat", learned.model, "--temperature", "0", "--quiet"]
    assert main([*words, "--field", "title=苹果"]) == 0
    assert capsys.readouterr().out == "苹果 红\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("coal\n\n/new\n叶子\n"))
    assert main(words) == 0
    assert capsys.readouterr().out == "coal black\n叶子 绿\n"
    rows = tmp_path / "rows.csv"
    rows.write_text("title,n\n香蕉,1\n,2\n", encoding="utf-8")
    assert main([*words, "--file", str(rows), "--output", str(tmp_path / "o.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 1
    written = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").splitlines()]
    assert [(row["title"], row["answer"]) for row in written] == [("香蕉", "香蕉 黄"), ("", "")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--field", "title"], "not NAME=VALUE"),
        (["--field", "x=1"], "the field 'title' is missing"),
        (["--message", ""], "the message is empty"),
        (["--message", "a", "--field", "title=b"], "give one of them"),
        (["--output", "o.csv"], "give both or none"),
        (["--file", "x.csv", "--output", "o.doc"], "must end in"),
        (["--message", "a", "--temperature", "-1"], "temperature"),
        (["--json"], "needs something to answer"),
    ],
)
def test_a_wrong_command_is_a_sentence(learned, capsys, words, said):
    assert main(["chat", learned.model, *words]) == 2
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown


def test_a_plain_model_says_that_it_only_continues(base, capsys):
    assert main(["chat", str(base), "--message", "从前", "--max-tokens", "4"]) == 0
    assert "was not trained on conversations" in capsys.readouterr().err
    assert main(["chat", str(base), "--message", "x", "--system", "s"]) == 2
    assert "no system message" in capsys.readouterr().err


def test_turns_are_remembered_where_they_were_learned(tmp_path, base):
    files = {}
    for language in ("zh", "en"):
        (tmp_path / language).mkdir()
        files[language] = case_writing.write(tmp_path / language, language)[0]
    result = wenmo.train_task(
        "writing", list(files.values()), tmp_path / "m", progress=False, from_model=base, epochs=1, budget="60s",
        system="店员 clerk",
    )  # fmt: skip
    model = wenmo.load_task(result.model)
    assert set(result.baselines) == {"before fine-tuning", "without the n-gram model", "n-gram"}
    assert result.score <= min(scores["bits_per_byte"] for scores in result.baselines.values()) + 0.05
    assert model.assistant.loaded.model.architecture == "mixture"
    assert model.assistant.turns and model.assistant.system == "店员 clerk"
    session = model.assistant.session(max_tokens=4)
    for text in ("豆腐在哪里买？", "Thank you!"):
        "".join(session.reply(model.assistant.message(session, text)))
    assert len(session.messages) == 4 and session.last.reused > 0
    assert result.examples["train"] > result.examples["test"] > 0


def test_transformers_opens_the_folder_and_ends_where_we_do(learned):
    transformers = pytest.importorskip("transformers")
    import torch

    model = transformers.AutoModelForCausalLM.from_pretrained(learned.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(learned.model)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "《天空》"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=False,
    )
    with torch.no_grad():
        written = model.generate(ids, do_sample=False, max_new_tokens=30)[0, ids.shape[1] :]
    assert tokenizer.decode(written, skip_special_tokens=True) == "天空 蓝"
    assert int(written[-1]) in load_model(learned.model).tokenizer.end_ids


def test_an_interrupted_run_is_resumed(tmp_path, base, facts, monkeypatch):
    from wenmo.training import hardware
    from wenmo.training.loop import BatchTrainer

    # The number format is measured; on a busy machine two runs may choose differently.
    monkeypatch.setattr(hardware, "measure_machine", lambda device: hardware.Machine(device, 1e10, 1.0))
    settings = {"from_model": base, "epochs": 3, "batch_tokens": 64, "prompt": "{title}{number}", "seed": 3}
    whole = wenmo.train_task("writing", facts, tmp_path / "whole", progress=False, **settings)
    original, steps = BatchTrainer._step, []

    def interrupting(self, factor):
        original(self, factor)
        steps.append(factor)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BatchTrainer, "_step", interrupting)
    with pytest.raises(Interrupted, match=f"--resume {tmp_path / 'parts'}"):
        wenmo.train_task("writing", facts, tmp_path / "parts", progress=False, **settings)
    assert not (tmp_path / "parts").exists()
    resumed = wenmo.train_task("writing", resume=tmp_path / "parts", progress=False)
    assert resumed.scores == whole.scores
    assert main(["chat", resumed.model, "--message", "天", "--max-tokens", "2", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("steps", "said"), [(None, "A longer --budget would help."), (40, "It ended after 5 passes")]
)
def test_advice_names_what_ended_the_training(steps, said):
    """More time is advised only where time was what ran out."""
    from types import SimpleNamespace

    from wenmo.conversation.verdict import _advice

    tuned = SimpleNamespace(plan=SimpleNamespace(steps=steps), outcome=SimpleNamespace(epochs=5.1))
    assert said in _advice(SimpleNamespace(tuned=tuned))
