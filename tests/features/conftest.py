"""The shop of feature_shop.py, open for one test."""

import pytest
from feature_shop import Shop


@pytest.fixture
def shop():
    shop = Shop()
    yield shop
    shop.con.close()
