"""Features and BI are one: F(entity, m, w) of the reference evaluator against what a dashboard shows."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from gemel.spec.time import Window
from properties.asking import by_definition, plain
from reference import feature
from worlds import drawn
from worlds.questions import Question

MIDNIGHTS = st.sampled_from([dt.datetime.combine(day, dt.time()) for day in drawn.BUSY])


def sale(customer: int, sold_at: str, amount: int, paid_at: str | None = None) -> dict[str, object]:
    moment = dt.datetime.fromisoformat
    return {
        "sale_id": 0,
        "customer_id": customer,
        "shop_id": None,
        "sold_at": moment(sold_at),
        "paid_at": paid_at and moment(paid_at),
        "status": "done",
        "amount": amount,
    }


def amounts(moment: str, window: Window | None, *sales: dict[str, object], known_at: str | None = None) -> object:
    tables = {name: [] for name in drawn.COLUMNS} | {"sales": list(sales)}
    return of_customers("amount", tables, dt.datetime.fromisoformat(moment), window, known_at)


def of_customers(metric: str, tables: drawn.Tables, moment: dt.datetime, *how: object) -> dict[object, object]:
    return feature(drawn.MANIFEST, tables | drawn.SPINE_ROWS, metric, "customer", moment, *how)


def test_a_sale_at_midnight_belongs_to_the_next_day():
    assert amounts("2024-03-02", Window(1, "day"), sale(1, "2024-03-02 00:00", 10)) == {}
    assert amounts("2024-03-03", Window(1, "day"), sale(1, "2024-03-02 00:00", 10)) == {1: 10}


def test_a_window_holds_its_first_moment_and_not_its_last():
    first, last = sale(1, "2024-03-01 00:00", 1), sale(1, "2024-03-08 00:00", 2)
    assert amounts("2024-03-08", Window(7, "day"), first, last) == {1: 1}


def test_a_sale_is_not_seen_before_it_is_known():
    late = sale(1, "2024-03-01 09:00", 10, paid_at="2024-03-04 09:00")
    assert amounts("2024-03-02", None, late) == {1: 10}
    assert amounts("2024-03-02", None, late, known_at="sale__paid_at") == {}
    assert amounts("2024-03-04 10:00", None, late, known_at="sale__paid_at") == {1: 10}


def test_a_sale_without_the_time_at_which_it_is_known_is_never_seen():
    assert amounts("2024-04-01", None, sale(1, "2024-03-01 09:00", 10), known_at="sale__paid_at") == {}


@given(tables=drawn.worlds, day=MIDNIGHTS)
def test_the_trailing_week_on_a_day_is_the_feature_at_the_next_midnight(tables, day):
    question = Question(("sales_7d",), ("customer", "metric_time__day"), start=day.isoformat(), end=day.isoformat())
    shown = {row[0]: row[2] for row in by_definition(question, tables)[1] if row[0] is not None}
    moment = day + dt.timedelta(days=1)
    assert of_customers("sales", tables, moment, Window(7, "day")) == shown


@given(tables=drawn.worlds, moment=drawn.moments)
def test_a_feature_never_changes_when_the_future_does(tables, moment):
    past = tables | {"sales": [row for row in tables["sales"] if row["sold_at"] < moment]}
    for metric in ("amount", "amount_per_sale", "buyers", "amount_p80", "done_share"):
        month = Window(1, "month")
        assert of_customers(metric, tables, moment, month) == of_customers(metric, past, moment, month)


@given(tables=drawn.worlds)
def test_all_time_at_the_end_of_time_is_the_plain_metric(tables):
    question = Question(("amount",), ("customer",))
    shown = {plain(row[0]): row[1] for row in by_definition(question, tables)[1] if row[0] is not None}
    assert of_customers("amount", tables, dt.datetime(2030, 1, 1)) == shown
