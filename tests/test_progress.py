from wenmo.progress import counted


def test_one_thing_is_no_things():
    assert [counted(number, "document") for number in (0, 1, 2, 12_345)] == [
        "0 documents",
        "1 document",
        "2 documents",
        "12,345 documents",
    ]
