import numpy as np
import pytest

from reviews import reviews
from wenmo.classification.folds import fold_numbers, text_key
from wenmo.classification.labels import label_names, similar_labels
from wenmo.classification.preparing import prepare
from wenmo.classification.rows import Examples, contradictions, read_examples
from wenmo.errors import InputError, OptionError


def read(*paths, **given):
    fields = {"text_field": None, "label_field": None, "encoding": None, **given}
    return read_examples([str(path) for path in paths], **fields)


def test_empty_cells_and_missing_labels_are_counted(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        "标签\t评论\n好\t味道很好很好\n\t没有标签的一行\n坏\t\n坏\t味道很差很差\n", encoding="utf-8"
    )
    found = read(path)
    assert (found.texts, found.labels) == (["味道很好很好", "味道很差很差"], ["好", "坏"])
    assert found.dropped == {"no label": 1, "empty text": 1}
    assert any("line 3" in note for note in found.notes)


def test_numbers_and_json_are_labels_too(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n{"text": "so", "label": null}\n'
    )
    assert read(path).labels == ["1", "0"]
    assert read(path).dropped == {"no label": 1}


def test_one_file_for_each_label(tmp_path):
    (tmp_path / "pos.txt").write_text("好\n很好\n", encoding="utf-8")
    (tmp_path / "neg.txt").write_text("味道很差，再也不会来了，服务员的态度也不好\n\n", encoding="gb18030")
    found = read(tmp_path / "pos.txt", tmp_path / "neg.txt")
    assert list(zip(found.texts, found.labels, strict=True)) == [
        ("好", "pos"),
        ("很好", "pos"),
        ("味道很差，再也不会来了，服务员的态度也不好", "neg"),
    ]


def test_one_folder_for_each_label(tmp_path):
    for name, text, encoding in (
        ("pos", "很好\n再来", "utf-8"),
        ("neg", "味道很差，再也不会来了，服务员的态度也不好", "gb18030"),
    ):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.txt").write_text(text, encoding=encoding)
    (tmp_path / "data" / "readme.txt").write_text("not an example")
    found = read(tmp_path / "data")
    assert dict(zip(found.labels, found.texts, strict=True)) == {
        "pos": "很好\n再来",
        "neg": "味道很差，再也不会来了，服务员的态度也不好",
    }


@pytest.mark.parametrize("line", ["__label__{} {}", "{}\t{}"])
def test_labels_inside_plain_lines(tmp_path, line):
    path = tmp_path / "a.txt"
    path.write_text(
        line.format("pos", "a good day") + "\n" + line.format("neg", "一天都不好呢") + "\n", encoding="utf-8"
    )
    found = read(path)
    assert (found.texts, found.labels) == (["a good day", "一天都不好呢"], ["pos", "neg"])


def test_columns_can_be_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\nhello there,1\ngood bye,0\n")
    assert read(path, text_field="x", label_field="y").labels == ["1", "0"]
    with pytest.raises(OptionError, match="no column 'z'"):
        read(path, text_field="z")


def test_lines_without_labels_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("just text\n")
    with pytest.raises(InputError, match="holds no labels"):
        read(tmp_path / "a.txt")


def test_labels_are_ordered_by_value_or_alphabet():
    assert label_names(["10", "9", "-1", "10"]) == ["-1", "9", "10"]
    assert label_names(["坏", "好", "b", "a"]) == ["a", "b", "坏", "好"]


@pytest.mark.parametrize(
    ("often", "rare", "told"),
    [
        ("positive", "positve", True),
        ("pos", "ＰＯＳ", True),
        ("好评", "好评 ", True),
        ("Pos", "pos", True),
        ("1", "1.0", True),
        ("1", "2", False),
        ("positive", "negative", False),
        ("外卖差评", "堂食好评", False),
        ("好评", "差评", False),
        ("class10", "class11", False),
    ],
)
def test_labels_that_may_be_one(often, rare, told):
    assert bool(similar_labels([often] * 20 + [rare])) == told


def test_one_wrong_character_once_or_twice():
    assert similar_labels(["外卖差评"] * 20 + ["外卖差坪"])
    assert not similar_labels(["外卖差评"] * 40 + ["外卖差坪"] * 3)


def test_two_frequent_labels_are_not_taken_for_a_slip():
    assert not similar_labels(["unhappy"] * 10 + ["happy"] * 10)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_folds_keep_equal_texts_together_and_labels_apart(language):
    pairs = reviews(language, 50)
    texts = [text for text, _ in pairs] + [text.upper() + " " for text, _ in pairs[:20]]
    labels = np.array([int(label == "pos") for _, label in [*pairs, *pairs[:20]]])
    folds = fold_numbers(texts, labels, 5, seed=3)
    by_key = {}
    for text, fold in zip(texts, folds, strict=True):
        assert by_key.setdefault(text_key(text), fold) == fold
    sizes = np.array([[((folds == f) & (labels == k)).sum() for k in (0, 1)] for f in range(5)])
    assert np.ptp(sizes, axis=0).max() <= 2
    assert (folds == fold_numbers(texts, labels, 5, seed=3)).all()
    assert (folds != fold_numbers(texts, labels, 5, seed=4)).any()


def prepared(examples, said=None, **given):
    fields = {
        "source": "a.csv",
        "valid": None,
        "test": None,
        "valid_fraction": None,
        "test_fraction": None,
        "seed": 0,
    }
    return prepare(examples, say=(said if said is not None else []).append, **{**fields, **given})


def examples_of(pairs):
    return Examples([text for text, _ in pairs], [label for _, label in pairs], [""] * len(pairs))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_text_stands_on_two_sides(language):
    pairs = reviews(language, 300)
    sides = prepared(examples_of([*pairs, *pairs[:100]]), test_fraction=0.3)
    train, test = ({text_key(t) for t in side.texts} for side in (sides.train, sides.test))
    assert not train & test and not sides.seen.any() and len(sides.test.texts) > 80


def test_few_rows_are_not_set_apart():
    said = []
    sides = prepared(examples_of(reviews("zh", 40)), said)
    assert len(sides.train.texts) == 40 and not sides.valid.texts and not sides.test.texts
    assert any("cross-validated" in sentence for sentence in said)
    asked = prepared(examples_of(reviews("zh", 40)), valid_fraction=0.2, test_fraction=0.2)
    assert (len(asked.train.texts), len(asked.valid.texts), len(asked.test.texts)) == (24, 8, 8)


def test_leaks_of_given_files_are_counted():
    said, pairs = [], reviews("en", 60)
    valid, test = examples_of(pairs[:10]), examples_of([*pairs[5:30], ("strange", "other")])
    sides = prepared(examples_of(pairs[:40]), said, valid=valid, test=test)
    assert len(sides.train.texts) == 30 and sides.dropped["also among the validation texts"] == 10
    assert sides.seen.sum() == 25 and len(sides.seen) == 25
    assert sides.dropped["label not among the training examples (test file)"] == 1
    assert any("25 of 25 test texts" in sentence for sentence in said)


def test_validation_that_takes_a_label_away_is_refused():
    pairs = reviews("en", 40)
    with pytest.raises(InputError, match="fewer than two labels"):
        prepared(examples_of(pairs), valid=examples_of([p for p in pairs if p[1] == "pos"]))


def test_contradictions_are_found():
    assert contradictions(["好", " 好", "坏"], ["1", "0", "0"]) == 1
