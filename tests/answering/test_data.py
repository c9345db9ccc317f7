import csv
import json

import pytest

from wenmo.answering.data import find_answers, read_questions
from wenmo.answering.examples import Dropped, load_squad, without_answer
from wenmo.answering.faq import Faq, Stored, fit_faq, score_faq
from wenmo.errors import InputError, ModelError, OptionError
from wenmo.retrieval.building import index_texts

CONTEXT = "長江全長6300公里，發源於青海。長江流入東海。"


def squad(path, qas, context=CONTEXT):
    content = {"data": [{"title": "長江", "paragraphs": [{"context": context, "qas": qas}]}]}
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return path


def question(text, answer, start, **more):
    return {"id": text, "question": text, "answers": [{"text": answer, "answer_start": start}], **more}


def test_squad_is_read_and_wrong_places_are_mended_or_counted(tmp_path):
    qas = [
        question("發源於哪裡？", "青海", CONTEXT.index("青海")),
        question("全長多少？", "6300公里", 0),
        question("最深多少？", "200米", 3),
        question(" ", "青海", 3),
        question("最短的河？", "", 0, is_impossible=True),
    ]
    dropped = Dropped()
    examples = load_squad(squad(tmp_path / "q.json", qas), dropped)
    assert [example.texts for example in examples] == [["青海"], ["6300公里"], []]
    assert dropped.counts["answer not in its passage"] == 1 and dropped.counts["empty question"] == 1
    assert dropped.mended == 1
    assert "q.json: 最深多少？" in dropped.places["answer not in its passage"][0]
    assert examples[0].group == "長江"


def test_other_json_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2]", "utf-8")
    (tmp_path / "b.json").write_text("{", "utf-8")
    for name, said in (("a.json", "no list 'data'"), ("b.json", "not JSON"), ("c.json", "cannot read")):
        with pytest.raises(InputError, match=said):
            read_questions([tmp_path / name])


def test_rows_with_and_without_passages(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [
        {"问题": "流入哪个海？", "答案": "東海", "原文": CONTEXT},
        {"问题": "谁写的？", "答案": "李白"},
        {"问题": "在哪里？", "答案": "不在文中", "原文": CONTEXT},
        {"问题": "", "答案": "甲"},
        {"问题": "空的？", "答案": ""},
        {"问题": "多个？", "答案": [{"text": "青海"}, {"text": "東海"}], "原文": CONTEXT},
    ]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    data = read_questions([path])
    assert [example.texts for example in data.examples] == [["東海"], ["青海", "東海"]]
    assert [(pair.question, pair.answer, pair.line) for pair in data.pairs] == [("谁写的？", "李白", 2)]
    assert data.dropped.counts == {"answer not in its passage": 1, "empty question": 1, "empty answer": 1}


def test_columns_can_be_named_and_a_headless_table_is_understood(tmp_path):
    path = tmp_path / "faq.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["ask", "say", "n"], ["How long?", "Six days.", 1], ["Who?", "Ada.", 2]])
    data = read_questions([path], question_field="ask", answer_field="say")
    assert [pair.answer for pair in data.pairs] == ["Six days.", "Ada."]
    with pytest.raises(OptionError, match="--question-field"):
        read_questions([path], question_field="nope", answer_field="say")
    plain = tmp_path / "plain.tsv"
    plain.write_text("多久能到？\t三天到货。\n能退货吗？\t可以退货。\n", "utf-8")
    assert read_questions([plain]).pairs[1].answer == "可以退货。"


def test_answers_are_found_in_documents():
    index = index_texts(
        ["长江发源于青海，流入东海。", "黄河流入渤海。", "The Nile flows into the Mediterranean Sea."]
    )
    pairs = [
        Stored("長江流入哪裡？", "東海", "f", 1),
        Stored("Where does the Nile flow?", "the mediterranean sea", "f", 2),
        Stored("谁？", "没有的话", "f", 3),
    ]
    dropped = Dropped()
    examples = find_answers(pairs, index, dropped)
    assert [example.texts for example in examples] == [["东海"], ["the Mediterranean Sea"]]
    assert dropped.counts == {"answer not found in the documents": 1}


def test_wrong_passages_do_not_hold_the_answer(tmp_path):
    examples = load_squad(
        squad(tmp_path / "q.json", [question("發源於哪裡？", "青海", CONTEXT.index("青海"))])
    )
    made = without_answer(examples * 4, [CONTEXT, "別的青海", "黃河流入渤海。"], 1.0, 0)
    assert len(made) == 4 and {example.context for example in made} == {"黃河流入渤海。"}
    assert not any(example.answers for example in made)


FAQ = {
    "zh": [
        ("多久能收到货？", "三天"),
        ("怎么申请退货？", "在订单里点退货"),
        ("可以开发票吗？", "可以"),
        ("周末营业吗？", "营业"),
        ("怎么修改地址？", "在设置里改"),
        ("忘记密码怎么办？", "点找回密码"),
        ("支持哪些支付方式？", "支付宝和微信"),
        ("客服电话是多少？", "见首页"),
    ],
    "en": [
        ("How long does shipping take?", "Three days"),
        ("How do I return an item?", "In your orders"),
        ("Do you send invoices?", "Yes"),
        ("Are you open on weekends?", "Yes, always"),
        ("How can I change my address?", "In the settings"),
        ("I forgot my password", "Reset it"),
        ("Which payment methods are there?", "Card"),
        ("What is your phone number?", "See the home page"),
    ],
}
ASKED = {
    "zh": ("请问密码忘了怎么办", "点找回密码", "附近有停车场吗"),
    "en": ("I have forgotten my password, what now?", "Reset it", "Who is the president?"),
}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_faq_answers_what_is_near_and_refuses_what_is_far(tmp_path, language):
    faq = fit_faq(
        [Stored(question, answer, "faq.csv", n) for n, (question, answer) in enumerate(FAQ[language], 2)], []
    )
    assert faq.confidence is None  # eight pairs are too few to fit a threshold
    pairs = [Stored(f"{q} {n}", a, "faq.csv", n) for n, (q, a) in enumerate(FAQ[language] * 2)]
    faq = fit_faq(pairs, [])
    assert faq.confidence is not None
    near, answer, far = ASKED[language]
    assert faq.search(near, 1)[0].stored.answer == answer
    assert not faq.given(faq.search(far, 1))
    faq.save(tmp_path)
    again = Faq.load(tmp_path)
    assert again.search(near, 3) == faq.search(near, 3)
    scores, baseline, count = score_faq(again, [Stored(near, answer)])
    assert scores["always_answered"] == 100 and count == 1 and 0 <= baseline["accuracy"] <= 100
    (tmp_path / "faq.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match="damaged"):
        Faq.load(tmp_path)
