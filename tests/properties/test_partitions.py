"""Partitions over any number of hops: any question against the reference evaluator, and cases with their data."""

import random

from hypothesis import given, note
from hypothesis import strategies as st

from gemel.compiler.compiled import compile_query
from properties import partitioned
from properties.asking import DAYS, Place, assert_same, by_sql, plain
from properties.partitioned import row
from worlds.questions import Asker, Question
from worlds.shop import flat

PARTITIONED = Place(partitioned)


@given(seed=st.integers(0, 2**32), tables=partitioned.worlds)
def test_whatever_the_partitions_the_sql_gives_what_the_definition_says(seed, tables):
    asker = Asker(partitioned.MANIFEST, partitioned.VALUES, DAYS, hops=4, only=("simple",))
    question = asker.question(random.Random(seed))
    note(str(question))
    assert_same(question, tables, PARTITIONED)


TABLES = {
    "payments": [
        row("payments", 1, 1, "2024-03-01", "east", "2024-03-01", 5),
        row("payments", 2, 1, "2024-03-02", "west", "2024-03-02", 10),
        row("payments", 3, 1, None, "west", "2024-03-02", 100),
    ],
    "accounts": [row("accounts", 1, 1, "own")],
    "customers": [row("customers", 1, 1, "2024-03-01", "gold"), row("customers", 1, 2, "2024-03-02", "tin")],
    "banks": [row("banks", bank, 1, zone, f"{zone} {bank}") for bank in (1, 2) for zone in ("east", "west")],
    "countries": [
        row("countries", 1, day, zone, f"{zone} {day[-1]}")
        for day in ("2024-03-01", "2024-03-02")
        for zone in ("east", "west")
    ],
}


def rows(question: Question) -> list[tuple[object, ...]]:
    assert_same(question, TABLES, PARTITIONED)
    return sorted((tuple(map(plain, each)) for each in by_sql(question, TABLES, PARTITIONED)[1]), key=str)


def test_a_far_model_is_joined_by_the_partition_of_the_facts_if_the_model_between_has_none():
    assert rows(Question(("paid",), ("account__customer__segment",))) == [("gold", 5), ("tin", 10), (None, 100)]
    assert rows(Question(("payments",), ("account__customer__segment",))) == [("gold", 1), ("tin", 1), (None, 1)]
    assert rows(Question(("gold_paid",))) == [(5,)]


def test_each_partition_is_that_of_the_nearest_model_before_which_has_it():
    assert rows(Question(("paid",), ("account__customer__bank__bank_name",))) == [
        ("east 1", 5),
        ("west 2", 10),
        (None, 100),
    ]
    assert rows(Question(("paid",), ("account__customer__bank__country__country_name",))) == [
        ("east 1", 5),
        ("west 2", 10),
        (None, 100),
    ]


def test_the_sql_of_a_partition_over_hops_is_what_one_would_write():
    question = Question(("paid",), ("account__customer__bank__country__country_name",))
    assert flat(compile_query(PARTITIONED.graph, question.for_gemel()).sql) == flat("""
        SELECT
          account__customer__bank__country.country_name AS account__customer__bank__country__country_name,
          SUM(payments.amount) AS paid
        FROM main.payments
        LEFT JOIN main.accounts AS account
          ON payments.account_id = account.account_id
        LEFT JOIN main.customers AS account__customer
          ON account.customer_id = account__customer.customer_id AND payments.ds = account__customer.ds
        LEFT JOIN main.banks AS account__customer__bank
          ON account__customer.bank_id = account__customer__bank.bank_id
          AND payments.zone = account__customer__bank.zone
        LEFT JOIN main.countries AS account__customer__bank__country
          ON account__customer__bank.country_id = account__customer__bank__country.country_id
          AND account__customer.ds = account__customer__bank__country.ds
          AND account__customer__bank.zone = account__customer__bank__country.zone
        GROUP BY 1
    """)
