import pytest

from wenmo.doctor import system


def test_missing_packages_are_named_with_purpose_and_extra():
    found = system.package("no_such_package_at_all", "nothing", "dev")
    assert found.version is None and found.purpose == "nothing" and found.extra == "dev"
    assert system.package("pytest", "tests", "dev").version == pytest.__version__


def test_memory_of_a_container_is_its_limit(tmp_path, monkeypatch):
    (tmp_path / "limit").write_text("1000000")
    (tmp_path / "used").write_text("400000")
    monkeypatch.setattr(system, "_MEMORY_LIMITS", (str(tmp_path / "limit"),))
    monkeypatch.setattr(system, "_MEMORY_USES", (str(tmp_path / "used"),))
    assert system.memory() == (1_000_000, 600_000)
    (tmp_path / "limit").write_text("max")
    total, free = system.memory()
    assert total > 1_000_000 and 0 < free <= total
