"""A third world, of partitions: facts and far models have them, the models between have none, or others.

A payment (partitions ds and zone) leads to an account without partitions, on to its customer (ds), to the customer's
bank (zone), and to the bank's country (ds and zone).
"""

import datetime as dt
from typing import Any

from hypothesis import strategies as st

from gemel.spec.manifest import Dimension, Manifest
from gemel.spec.metrics import Measure
from worlds.drawn import SPINES, Tables, days, simple, time, word
from worlds.ways import model

COLUMNS = {
    "payments": "payment_id int, account_id int, ds date, zone text, paid_on date, amount int",
    "accounts": "account_id int, customer_id int, kind text",
    "customers": "customer_id int, bank_id int, ds date, segment text",
    "banks": "bank_id int, country_id int, zone text, bank_name text",
    "countries": "country_id int, ds date, zone text, country_name text",
    "spine_day": "day date, fiscal_month date, sprint int",
    "spine_hour": "hour timestamp",
    "spine_month": "month date",
}


def partition(name: str) -> Dimension:
    return Dimension(name, name, grain="day" if name == "ds" else None, is_partition=True)


MODELS = (
    model(
        "payments",
        {"payment": "primary payment_id", "account": "foreign account_id"},
        time("paid_on"),
        partition("ds"),
        partition("zone"),
    ),
    model("accounts", {"account": "primary account_id", "customer": "foreign customer_id"}, word("kind")),
    model(
        "customers",
        {"customer": "primary customer_id", "bank": "foreign bank_id"},
        word("segment"),
        partition("ds"),
    ),
    model("banks", {"bank": "primary bank_id", "country": "foreign country_id"}, word("bank_name"), partition("zone")),
    model("countries", {"country": "primary country_id"}, word("country_name"), partition("ds"), partition("zone")),
)

METRICS = (
    simple(Measure("payments", "payments", "count", "1", "paid_on")),
    simple(Measure("paid", "payments", "sum", "amount", "paid_on")),
    simple(
        Measure("gold_paid", "payments", "sum", "amount", "paid_on"),
        None,
        "{{ Dimension('customer__segment', entity_path=['account']) }} = 'gold'",
    ),
)

MANIFEST = Manifest(MODELS, METRICS, time_spines=SPINES)

VALUES: dict[str, list[Any]] = {
    "account_id": [1, 2, 9, None],
    "customer_id": [1, 2, 9, None],
    "bank_id": [1, 2, None],
    "country_id": [1, 2, None],
    "ds": [dt.date(2024, 3, 1), dt.date(2024, 3, 2), None],
    "zone": ["east", "west", None],
    "amount": [5, 10, None],
    "kind": ["own", "joint"],
    "segment": ["gold", "tin", None],
    "bank_name": ["big", "small"],
    "country_name": ["Chad", "Peru"],
}
KEYS = {
    "payments": ("payment_id",),
    "accounts": ("account_id",),
    "customers": ("customer_id", "ds"),
    "banks": ("bank_id", "zone"),
    "countries": ("country_id", "ds", "zone"),
}


@st.composite
def table(draw: st.DrawFn, name: str, most: int) -> list[dict[str, Any]]:
    """Rows of random values; no key twice in a partition."""
    columns = [column.split() for column in COLUMNS[name].split(", ")]
    drawn = [
        {
            column: number
            if column == "payment_id"
            else draw(st.sampled_from(VALUES[column]) if column in VALUES else days)
            for column, _ in columns
        }
        for number in range(draw(st.integers(0, most)))
    ]
    return list({tuple(row[column] for column in KEYS[name]): row for row in drawn}.values())


def row(name: str, *values: Any) -> dict[str, Any]:
    """`row("banks", 1, 2, "east", "big")`; a day may be a text."""
    columns = [column.split() for column in COLUMNS[name].split(", ")]
    return {
        column: dt.date.fromisoformat(value) if kind == "date" and isinstance(value, str) else value
        for (column, kind), value in zip(columns, values, strict=True)
    }


worlds: st.SearchStrategy[Tables] = st.fixed_dictionaries(
    {
        "payments": table("payments", 5),
        "accounts": table("accounts", 3),
        "customers": table("customers", 5),
        "banks": table("banks", 5),
        "countries": table("countries", 6),
    }
)
