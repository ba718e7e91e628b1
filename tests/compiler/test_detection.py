"""The fingerprint of a feature table: all that the table reads of its facts, by the moment that first sees it."""

from sqlglot import exp

from compiler.test_moments import view
from gemel.compiler.features.detection import plan_fingerprint
from gemel.compiler.plan import rewrites
from gemel.compiler.sql import dialects, lowering
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import RowHash
from gemel.spec.time import parse_window
from worlds.shop import GRAPH, flat, moment

LISTED = RowHash(lambda values: exp.Anonymous(this="LISTED", expressions=[each.copy() for each in values]), "HUGEINT")


def text_of(view):
    plan = plan_fingerprint(GRAPH, view, until=moment("2024-02-01"), row_hash=LISTED)
    return flat(dialects.speak(lowering.lower(rewrites.tidy(plan), dialects.named()), DUCKDB))


def test_facts_are_hashed_with_their_keys_and_what_metrics_read_of_them():
    text = text_of(view("revenue 2 days", "largest all", "buyers 3 days", "average_amount 2 days"))
    assert "SELECT orders.customer_id AS customer," in text and "orders.amount AS revenue FROM orders" in text
    assert "LISTED(known.customer, known.revenue)" in text
    assert "LISTED(known.customer)" in text_of(view("orders 2 days"))  # how many there are is counted
    text = text_of(view("priced 2 days"))
    assert "CASE WHEN orders.amount IS NOT NULL THEN 1 ELSE 0 END AS priced FROM orders" in text


def test_a_filter_is_hashed_as_what_it_decides_with_the_joins_that_it_needs():
    text = text_of(view("orders 2 days", "gold_orders 2 days"))
    assert "CASE WHEN customer.segment = 'gold' THEN 1 END AS orders_2" in text
    assert "LEFT JOIN customers AS customer ON orders.customer_id = customer.customer_id" in text
    only = text_of(view("gold_orders 2 days"))  # what no metric counts is not looked at
    assert "WHERE customer.segment = 'gold' AND" in only and "CASE" not in only


def test_what_the_table_shows_of_an_entity_is_hashed_with_each_of_its_facts():
    text = text_of(view("orders 2 days", "customer__segment"))
    assert "LISTED(known.customer, customer.segment)" in text
    assert "LEFT JOIN customers AS customer ON known.customer = customer.customer_id" in text


def test_equal_rows_of_two_models_are_not_the_same():
    text = text_of(view("orders 2 days", "visits 2 days"))
    assert "LISTED(1, known.customer)" in text and "LISTED(2, known.customer)" in text
    assert text.endswith("GROUP BY 1") and "SUM(by_step.hash) AS hash" in text


def test_a_fact_stands_at_the_moment_of_the_first_row_that_it_changes():
    late = view("orders 2 days", delay=parse_window("2 hours"))
    assert "known.event_timestamp + INTERVAL '2' HOUR AS event_timestamp" in text_of(late)
    assert "< DATE_TRUNC('DAY', CAST('2024-02-01' AS TIMESTAMP) - INTERVAL '2' HOUR)" in text_of(late)
