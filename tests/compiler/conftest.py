import pytest

from compiler.shop import Shop


@pytest.fixture
def shop():
    return Shop()
