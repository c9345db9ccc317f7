from wenmo import progress
from wenmo.progress import counted


def test_one_thing_is_no_things():
    assert [counted(number, "document") for number in (0, 1, 2, 12_345)] == [
        "0 documents",
        "1 document",
        "2 documents",
        "12,345 documents",
    ]


def test_the_last_line_is_not_shown_twice(capsys, monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    with progress.track("counting", 10.0, "B") as shown:
        shown.update(10)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 60.0)
    with progress.track("counting", 10.0, "B") as shown:
        shown._visible = True  # an earlier line was shown
        shown.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["100%", "100%"]
