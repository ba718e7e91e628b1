"""Random tables for the nasty project: few values, so that everything collides."""

import datetime as dt
import random

COLUMNS = {
    "orders": "order_id int, customer_id int, store_id int, promo_id int, ordered_at timestamp, shipped_at timestamp, "
    "status text, amount int, discount int, ds_part date",
    "visits": "visit_id int, customer_id int, store_id int, visited_at timestamp, channel text, minutes double",
    "customers": "customer_id int, region_id int, home_store_id int, signed_up_at date, segment text",
    "profiles": "customer_id int, tone text",
    "regions": "region_id int, zone text, opened_at date",
    "stores": "store_id int, valid_from date, valid_to date, manager text",
    "promos": "promo_id int, ds_part date, kind text",
    "balances": "balance_id int, customer_id int, on_day date, currency text, balance int",
    "spine_day": "date_day date, fiscal_month_start date, sprint int",
    "spine_hour": "date_hour timestamp",
}
FIRST, LAST = dt.date(2023, 12, 15), dt.date(2024, 4, 15)


def world(seed: int) -> dict[str, list[tuple]]:
    """Rows by table. Orphan and missing keys, ties, repeated rows, gaps, negative numbers, midnights."""
    chance = random.Random(seed)
    customers = [1, 2, 3, 4]
    busy = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in chance.sample(range(75), 14)]

    def day() -> dt.date:
        return chance.choice(busy)

    def moment() -> dt.datetime:
        hour = chance.choice([0, 0, 9, 9, 14, 23])
        return dt.datetime.combine(day(), dt.time(hour, chance.choice([0, 0, 30]) if hour else 0))

    def key(values: list[int], orphan: int = 99) -> int | None:
        return chance.choice([*values * 3, orphan, None])

    orders = []
    for number in range(chance.choice([0, 12, 30, 30, 40])):
        ordered = moment()
        shipped = chance.choice([None, ordered, ordered + dt.timedelta(days=chance.randint(0, 12))])
        orders.append(
            (
                number,
                key(customers),
                key([1, 2]),
                key([1, 2]),
                ordered,
                shipped,
                chance.choice(["done", "done", "open", "lost", None]),
                chance.choice([-5, 0, 10, 10, 20, 30, 45, None]),
                chance.choice([None, 1, 2]),
                chance.choice([dt.date(2024, 1, 1), dt.date(2024, 2, 1), None]),
            )
        )
    visits = [
        (
            n,
            key(customers),
            key([1, 2]),
            moment(),
            chance.choice(["web", "app", None]),
            chance.choice([1.5, 2.0, -1.0, None]),
        )
        for n in range(chance.choice([0, 10, 25, 40]))
    ]
    segments = ["gold", "tin", None]
    return {
        "orders": orders,
        "visits": visits,
        "customers": [
            (c, key([1, 2], 9), key([1, 2]), chance.choice([day(), None]), chance.choice(segments)) for c in customers
        ],
        "profiles": [(c, chance.choice(["warm", "cool"])) for c in [*customers[:3], 7]],
        "regions": [(1, "north", dt.date(2023, 12, 1)), (2, None, dt.date(2024, 2, 1))],
        "stores": [
            (1, dt.date(2023, 1, 1), dt.date(2024, 1, 20), "ann"),
            (1, dt.date(2024, 1, 20), dt.date(2024, 2, 25), "bob"),
            (1, dt.date(2024, 3, 1), None, "cyd"),
            (2, dt.date(2024, 1, 10), None, chance.choice(["dee", None])),
        ],
        "promos": [
            (promo, part, f"kind{promo}{part.month}")
            for promo in (1, 2)
            for part in (dt.date(2024, 1, 1), dt.date(2024, 2, 1))
            if chance.random() < 0.8
        ],
        "balances": [
            (n, key(customers), day(), chance.choice(["eur", "usd", None]), chance.choice([-10, 5, 100, None]))
            for n in range(chance.choice([0, 15, 30]))
        ],
        "spine_day": [(d, fiscal_month(d), (d - FIRST).days // 10) for d in days()],
        "spine_hour": [(dt.datetime.combine(d, dt.time(hour)),) for d in days() for hour in range(24)],
    }


def days() -> list[dt.date]:
    return [FIRST + dt.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def fiscal_month(day: dt.date) -> dt.date:
    """Fiscal months begin on the fifth."""
    start = day if day.day >= 5 else day.replace(day=1) - dt.timedelta(days=1)
    return start.replace(day=5)
