import pytest

from wenmo.doctor import examine


@pytest.fixture(scope="session")
def report():
    return examine()
