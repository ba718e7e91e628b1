import pytest

from worlds.shop import Shop


@pytest.fixture
def shop():
    return Shop()
