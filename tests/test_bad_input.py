"""Whatever is given to the command line: a sentence that says what to do, exit code 2, nothing left behind."""

import gzip
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wenmo.cli import main

RUN = [sys.executable, "-c", "import sys; from wenmo.cli import main; sys.exit(main())"]
WORDS = [
    "the",
    "a",
    "bridge",
    "river",
    "man",
    "sees",
    "takes",
    "quiet",
    "winter",
    "boat",
    "stone",
    "light",
    "of",
    "in",
    "on",
    "under",
]
HAN = "春夏秋冬山水风月花鸟人心天地江河日夜。，\n"
SHORT = ["--training.steps", "3", "--model.layers", "1", "--model.width", "32", "--budget", "20s"]


def english():
    words = random.Random(0).choices(WORDS, k=3000)
    return "\n".join(" ".join(words[start : start + 12]) for start in range(0, len(words), 12))


def chinese():
    return "".join(random.Random(0).choices(HAN, k=4000))


def rows(**broken):
    lines = [json.dumps({"text": f"line {number} of the river", "id": number}) for number in range(40)]
    lines[16] = broken.get("line", lines[16])
    return "\n".join(lines).encode()


FILES = {
    "good.txt": english().encode(),
    "empty.txt": b"",
    "blank.txt": b" \n\n\t\n",
    "one line.txt": b"Hello there, one line.\n",
    "一词.txt": "词".encode(),
    "binary.txt": bytes(random.Random(0).randbytes(9000)),
    "mixed.txt": chinese().encode() + chinese().encode("gbk"),
    "gbk.txt": chinese().encode("gbk"),
    "broken.jsonl": b'{"x":\n' * 20,
    "nofield.jsonl": b'{"id": 1}\n' * 20,
    "line17.jsonl": rows(line='{"text": "broken'),
    "bad.parquet": b"PAR1garbage",
    "bad.zip": b"PKgarbage",
    "truncated.txt.gz": gzip.compress(english().encode())[:400],
    "folder/picture.png": b"\x89PNG",
    "partly/good.txt": english().encode(),
    "partly/mixed.txt": chinese().encode() + chinese().encode("gbk"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with every bad file in it, and temporary folders of its own beside it."""
    folder, temporary = tmp_path / "工作 folder", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "dangling.txt").symlink_to("nowhere")
    (folder / "directory.txt").mkdir()
    os.mkfifo(folder / "pipe.txt")
    (folder / "special").mkdir()
    os.mkfifo(folder / "special" / "pipe.txt")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(folder)
    return folder


def everything(folder):
    return sorted(str(path) for path in folder.parent.rglob("*"))


FIRST_NOT_UTF8 = len(FILES["gbk.txt"].decode("utf-8", errors="replace").split("\ufffd")[0].encode())
BAD_FILES = [
    ("empty.txt", "empty"),
    ("blank.txt", "empty"),
    ("binary.txt", "zero byte"),
    ("mixed.txt", "mixed encodings"),
    ("broken.jsonl", "broken JSON"),
    ("nofield.jsonl", "no field holds text"),
    ("bad.parquet", "Parquet"),
    ("bad.zip", "damaged archive"),
    ("truncated.txt.gz", "ended before"),
    ("folder", "no text files under folder (found 1 .png)"),
    ("directory.txt", "no text files"),
    ("special", "no regular file"),
    ("pipe.txt", "neither a file nor a folder"),
    ("p*.txt", "no regular file"),
    ("dangling.txt", "does not exist"),
    ("d*g.txt", "broken link"),
    ("none.txt", "does not exist"),
    ("*.nothing", "no file matches"),
]
TOO_LITTLE = [("one line.txt", "too little text: 22"), ("一词.txt", "too little text: 1")]


def refused(capsys, folder, words, named):
    """Runs a verb that must fail and checks all that is promised of a failure."""
    before = everything(folder)
    assert main([*words, "--json"]) == 2
    shown = capsys.readouterr()
    error = json.loads(shown.out)
    assert set(error) == {"error", "exit_code"} and error["exit_code"] == 2
    assert named in error["error"]
    assert shown.err.splitlines()[-1] == f"wenmo: {error['error']}"
    assert "Traceback" not in shown.err and "bug" not in shown.err
    assert everything(folder) == before


@pytest.mark.parametrize(("name", "named"), BAD_FILES + TOO_LITTLE)
def test_prepare_refuses(capsys, here, name, named):
    refused(capsys, here, ["prepare", name, "-o", "out"], named)


@pytest.mark.parametrize(("name", "named"), BAD_FILES + TOO_LITTLE)
def test_train_refuses(capsys, here, name, named):
    refused(capsys, here, ["train", name, "-o", "out", *SHORT], named)


@pytest.mark.parametrize(("name", "named"), BAD_FILES + TOO_LITTLE)
def test_tokenizer_train_refuses(capsys, here, name, named):
    refused(capsys, here, ["tokenizer", "train", name, "-o", "out"], named)


@pytest.mark.parametrize(("name", "named"), BAD_FILES)
def test_evaluate_refuses(capsys, here, model, name, named):
    refused(capsys, here, ["evaluate", str(model), name, "--no-baselines"], named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["gbk.txt", "--encoding", "utf-8"], f"not utf-8 at byte {FIRST_NOT_UTF8} (line 1)"),
        (["good.txt", "--encoding", "utf-16"], "not utf-16"),
        (["good.txt", "--encoding", "utf-9"], "(--encoding)"),
        (["good.txt", "--encoding", "base64"], "unknown encoding"),
        (["good.txt", "--encoding", ""], "unknown encoding"),
        (["line17.jsonl", "--text-field", "body"], "no field 'body'; the fields are text, id (--text-field)"),
        (["good.txt", "--valid-fraction", "0.6", "--test-fraction", "0.6"], "--valid-fraction and"),
        (["good.txt", "--min-chars", "1000000"], "too short"),
        (["good.txt", "--valid-fraction", "nan"], "--valid-fraction"),
        (["good.txt", "-o", "good.txt"], "exists and is no corpus"),
        (["good.txt", "-o", "folder"], "exists and is no corpus"),
        (["good.txt", "-o", "good.txt/x"], "choose another folder"),
        (["good.txt", "-o", "/proc/x/y"], "choose another folder"),
        (["good.txt", "-o", "x" * 300], "choose another folder"),
        (["folder", "-o", "new/deep/out"], "no text files"),
    ],
)
def test_prepare_refuses_options(capsys, here, words, named):
    output = [] if "-o" in words else ["-o", "out"]
    refused(capsys, here, ["prepare", *words, *output], named)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["good.txt", "-o", "folder"], "exists already"),
        (["good.txt", "-o", "x" * 300], "choose another folder"),
        (["good.txt", "-o", "good.txt"], "exists already"),
        (["good.txt", "-o", "good.txt/x"], "choose another folder"),
        (["good.txt", "--corpus.valid-fraction", "0"], "must be above 0"),
        (["good.txt", "--corpus.encoding", "utf-9"], "(--corpus.encoding)"),
        (["good.txt", "--training.epochs", "1"], "give one of them"),
        (["good.txt", "--training.lr", "inf"], "--training.lr"),
        (["good.txt", "--members", "cnn"], "unknown family"),
        (["--resume", "nothing"], "no interrupted run"),
        (["good.txt", "--resume", "nothing"], "leave the others out"),
    ],
)
def test_train_refuses_options(capsys, here, words, named):
    short = [] if "--resume" in words else SHORT
    output = [] if "-o" in words or "--resume" in words else ["-o", "out"]
    refused(capsys, here, ["train", *words, *output, *short], named)


@pytest.mark.parametrize("verb", ["prepare", "tokenizer train", "train"])
def test_what_is_left_out_is_said_with_its_place(capsys, here, verb):
    options = ["--arch", "ngram", "--budget", "20s"] if verb == "train" else []
    assert main([*verb.split(), "line17.jsonl", "partly", "-o", "out", "--quiet", *options]) == 0
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert "broken JSON (first: line17.jsonl:17)" in text
    assert "mixed encodings (first: partly/mixed.txt" in text


def test_folders_count_what_they_skip(capsys, here):
    (here / "partly" / "linked").symlink_to("../folder")
    (here / "partly" / "broken.txt").symlink_to("nowhere")
    assert main(["prepare", "partly", "-o", "out", "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)["manifest"]
    assert manifest["skipped"] == {"(linked folder)": 1}
    assert manifest["examples"]["unreadable"] == ["partly/broken.txt: broken link"]


def test_files_passed_over_are_counted_by_kind(capsys, here):
    (here / "partly" / "notes.docx").write_bytes(b"PK")
    (here / "partly" / "LICENSE").write_text("text")
    assert main(["prepare", "partly", "-o", "out", "--quiet"]) == 0
    assert "not read, by their names: 2 files (without ending 1, .docx 1)" in capsys.readouterr().out


def test_a_text_that_names_a_file_is_pointed_out(capsys, here, model):
    assert main(["tokenizer", "inspect", str(model), "good.txt"]) == 0
    assert "--path good.txt" in capsys.readouterr().err
    assert main(["tokenizer", "inspect", str(model), "no such file" * 99]) == 0
    assert "--path" not in capsys.readouterr().err


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny trained mixture."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "good.txt").write_bytes(FILES["good.txt"])
    assert main(["train", str(folder / "good.txt"), "-o", str(folder / "m"), "--quiet", *SHORT]) == 0
    return folder / "m"


def spoil(folder, name, how):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if how != "removed":
        path.write_bytes(content[: len(content) // 2] if how == "halved" else b"")


@pytest.mark.parametrize("how", ["removed", "halved", "emptied"])
@pytest.mark.parametrize(
    "name",
    [
        "wenmo.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
        "members/ngram/model.safetensors",
        "members/transformer/model.safetensors",
    ],
)
def test_a_damaged_model_is_named(capsys, here, model, name, how):
    shutil.copytree(model, here / "damaged")
    spoil(here / "damaged", name, how)
    refused(capsys, here, ["generate", "damaged", "the"], f"damaged/{name} is")


def test_a_model_of_another_version_is_refused(capsys, here, model):
    shutil.copytree(model, here / "newer")
    path = here / "newer" / "wenmo.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    refused(capsys, here, ["generate", "newer", "the"], "format version 99")


def test_a_pickle_is_not_read(capsys, here, model):
    shutil.copytree(model, here / "pickled")
    (here / "pickled" / "model.safetensors").unlink()
    (here / "pickled" / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    refused(capsys, here, ["generate", "pickled", "the"], "may be a pickle")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--frequency-penalty", "inf"], "--frequency-penalty"),
        (["--temperature", "inf"], "--temperature"),
        (["--stop", ""], "stop"),
        (["--samplers", "magic"], "unknown sampler"),
        (["--weights", "1,2"], "weights"),
        (["--n", "5", "--beams", "2"], "beams"),
    ],
)
def test_generate_refuses(capsys, here, model, words, named):
    refused(capsys, here, ["generate", str(model), "the", *words], named)


@pytest.mark.parametrize("prompt", ["", "没见过的字 😀 \x07", "boat " * 2000], ids=["none", "unseen", "long"])
def test_any_prompt_is_continued(capsys, model, prompt):
    assert main(["generate", str(model), prompt, "--max-tokens", "3", "--ignore-eos", "--json"]) == 0
    (completion,) = json.loads(capsys.readouterr().out)["completions"]
    assert len(completion["tokens"]) == 3


def started(words, folder, temporary):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    mark = temporary / "begun"
    program = f"from wenmo.cli import main; open({str(mark)!r}, 'w').close(); import sys; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell that runs the tests in the background lets its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # While Python itself starts, Ctrl-C is Python's own.
    for _ in range(6000):
        if mark.exists():
            break
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(
    ("verb", "delay"),
    [("prepare", 0.6), ("prepare", 1.1), ("train", 0.6), ("train", 1.8), ("train", 2.6), ("train", 4.0)],
)
def test_ctrl_c_at_any_moment(tmp_path, verb, delay):
    temporary, folder = tmp_path / "tmp", tmp_path / "work"
    temporary.mkdir()
    folder.mkdir()
    (folder / "big.txt").write_text(english() * 5000 if verb == "prepare" else english())
    words = [verb, "big.txt", "-o", "out", "--json"]
    words += ["--training.steps", "100000", *SHORT[2:]] if verb == "train" else []
    process = started(words, folder, temporary)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert json.loads(output)["exit_code"] == 130
    assert b"Traceback" not in error
    assert not [path for path in temporary.iterdir() if path.name.startswith("wenmo.")]
    assert {path.name for path in folder.iterdir()} <= {"big.txt", "out.run"}


def test_a_full_output_is_a_sentence(tmp_path):
    (tmp_path / "good.txt").write_bytes(FILES["good.txt"])
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*RUN, "prepare", "good.txt", "-o", "out", "--json"], cwd=tmp_path, stdout=full, stderr=-1
        )
    assert done.returncode == 2
    assert b"no space left" in done.stderr and b"Traceback" not in done.stderr
