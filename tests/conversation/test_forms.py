import pytest

from wenmo.conversation.forms import choose_form, fill_template, template_columns
from wenmo.conversation.messages import Unfit
from wenmo.errors import InputError, OptionError


@pytest.mark.parametrize(
    ("columns", "prompt", "answer"),
    [
        (["prompt", "completion"], "{prompt}", "completion"),
        (["instruction", "input", "output"], "{instruction}\n\n{input}", "output"),
        (["指令", "输入", "输出"], "{指令}\n\n{输入}", "输出"),
        (["title", "article"], "{title}", "article"),
        (["标题", "正文", "日期"], "{标题}", "正文"),
        (["关键词", "文章"], "{关键词}", "文章"),
        (["Question", "id", "Answer"], "{Question}", "Answer"),
        (["input", "output"], "{input}", "output"),
        (["1", "2"], "{1}", "2"),
        (["word", "text"], "{word}", "text"),
    ],
)
def test_usual_names_are_known(columns, prompt, answer):
    form = choose_form(columns)
    assert (form.prompt, form.answer, form.system) == (prompt, answer, "")


def test_a_column_named_system_is_the_system_message():
    assert choose_form(["system", "question", "answer"]).system == "{system}"


def test_what_the_user_says_goes_first():
    form = choose_form(
        ["title", "author", "text"], prompt="《{title}》，{author} 作：", answer="text", system="诗人"
    )
    found = form.fill({"title": "春晓", "author": "孟浩然", "text": " 春眠不觉晓 "})
    assert [(m.role, m.content) for m in found.messages] == [
        ("system", "诗人"),
        ("user", "《春晓》，孟浩然 作："),
        ("assistant", "春眠不觉晓"),
    ]


def test_lines_without_cells_are_left_out_and_braces_can_be_written():
    form = choose_form(["instruction", "input", "output"])
    assert form.ask({"instruction": "Say hello.", "input": " "}) == "Say hello."
    assert form.ask({"instruction": "翻译", "input": "你好"}) == "翻译\n\n你好"
    assert fill_template("{{{a}}}", {"a": "x{b}"}) == "{x{b}}"
    assert template_columns("{a} {{b}} {a}{c}") == ["a", "c"]


def test_empty_cells_are_no_conversation():
    form = choose_form(["prompt", "completion"])
    with pytest.raises(Unfit, match="an empty prompt"):
        form.fill({"prompt": " ", "completion": "b"})
    with pytest.raises(Unfit, match="an empty answer"):
        form.fill({"prompt": "a"})


@pytest.mark.parametrize(
    ("columns", "given", "error", "said"),
    [
        (["a", "b", "c"], {}, InputError, "what is asked.*--prompt.*a, b, c"),
        (["title", "b", "c"], {}, InputError, "the answer.*--answer"),
        (["a", "b"], {"answer": "z"}, OptionError, "--answer: there is no column 'z'"),
        (["a", "b"], {"prompt": "{z}", "answer": "b"}, OptionError, "--prompt: there is no column 'z'"),
        (["a", "b"], {"prompt": "{b}", "answer": "b"}, OptionError, "is the answer"),
        (["a", "b"], {"prompt": "words", "answer": "b"}, OptionError, "names no column"),
        (["a", "b"], {"system": "{z}"}, OptionError, "--system: there is no column 'z'"),
    ],
)
def test_what_cannot_be_told_is_said(columns, given, error, said):
    with pytest.raises(error, match=said):
        choose_form(columns, **given)
