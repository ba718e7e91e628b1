import pytest

from worlds.feature_shop import open_shop

shop = pytest.fixture(open_shop)
