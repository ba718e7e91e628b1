"""A marketplace whose metrics are drawn at random: definitions of every type over definitions, on small random tables.

What the nasty project (written by hand) does not hold: roles (guest, host and user are one table), two hops over
partitions, clocks by minute, month and year, spines of three grains, and whatever parameters chance puts together.
"""

import datetime as dt
import random
from typing import Any

COLUMNS = {
    "bookings": "booking_id int, guest_id int, host_id int, listing_id int, booked_at timestamp, paid_at date, "
    "is_instant boolean, value double, referrer_id int",
    "views": "view_id int, user_id int, listing_id int, viewed_at timestamp, device text",
    "listings": "listing_id int, user_id int, created_at timestamp, country text, capacity int, is_lux boolean",
    "users": "user_id int, home_state text, joined_at date, archived_at timestamp",
    "companies": "company_id int, user_id int, company_name text",
    "places": "listing_id int, tier_id int, active_from date, active_to date, size int",
    "tiers": "tier_id int, tier_name text",
    "accounts": "account_row int, user_id int, ds date, kind text, balance int",
    "payments": "payment_id int, account_id int, ds date, ds_part date, paid int",
    "bridge": "account_id int, customer_id int, ds_part date, extra text",
    "customers": "customer_id int, customer_name text, ds_part date",
    "revenues": "revenue_id int, user_id int, month_start date, income int",
    "plans": "plan_id int, user_id int, year_start date, target int",
    "spine_day": "day date, alien_day date, sprint int",
    "spine_hour": "ts timestamp, shift timestamp",
    "spine_month": "month_start date",
}
FIRST, LAST = dt.date(2023, 11, 1), dt.date(2024, 4, 30)


# --- The semantic models ------------------------------------------------------------------------------------


def model(
    name: str, clock: str | None, entities: dict[str, str], dimensions: list[dict[str, Any]], *measures: dict[str, Any]
) -> dict[str, Any]:
    """`entities` are `{"guest": "foreign guest_id"}`."""
    made = [
        {"name": entity, "type": text.split()[0], "expr": text.split()[1], "role": None, "description": None}
        for entity, text in entities.items()
    ]
    primary = None if any(entity["type"] == "primary" for entity in made) else f"{name}_row"
    return {
        "name": name,
        "description": None,
        "label": None,
        "node_relation": {
            "alias": name,
            "schema_name": "main",
            "database": "market",
            "relation_name": f'"market"."main"."{name}"',
        },
        "primary_entity": primary,
        "defaults": {"agg_time_dimension": clock} if clock else None,
        "entities": made,
        "dimensions": dimensions,
        "measures": list(measures),
    }


def time(name: str, grain: str = "day", **more: Any) -> dict[str, Any]:
    validity = more.pop("validity", None)
    params = {"time_granularity": grain, "validity_params": validity}
    return {"name": name, "type": "time", "expr": None, "is_partition": False, "type_params": params} | more


def word(name: str, expr: str | None = None) -> dict[str, Any]:
    return {"name": name, "type": "categorical", "expr": expr, "is_partition": False, "type_params": None}


def measure(name: str, agg: str = "sum", expr: str | None = None, **more: Any) -> dict[str, Any]:
    empty = {"agg_params": None, "non_additive_dimension": None, "agg_time_dimension": None, "create_metric": False}
    return {"name": name, "agg": agg, "expr": expr} | empty | more


def level(window_choice: str, name: str = "ds", groupings: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"name": name, "window_choice": window_choice, "window_groupings": list(groupings)}


def percentile(fraction: float, *, discrete: bool) -> dict[str, Any]:
    return {
        "percentile": fraction,
        "use_discrete_percentile": discrete,
        "use_approximate_percentile": False,
    }


MODELS = [
    model(
        "bookings",
        "booked_at",
        {
            "booking": "primary booking_id",
            "guest": "foreign guest_id",
            "host": "foreign host_id",
            "listing": "foreign listing_id",
            "place": "foreign listing_id",
        },
        [time("booked_at"), time("paid_at"), word("is_instant"), word("is_dear", "value > 100")],
        measure("bookings", expr="1"),
        measure("value"),
        measure("value_average", "average", "value"),
        measure("value_max", "max", "value"),
        measure("guests", "count_distinct", "guest_id"),
        measure("instant", "sum_boolean", "is_instant"),
        measure("referred", "count", "referrer_id"),
        measure("value_paid", expr="value", agg_time_dimension="paid_at"),
        measure("value_median", "median", "value"),
        measure("value_p20", "percentile", "value", agg_params=percentile(0.2, discrete=True)),
        measure("value_p95", "percentile", "value", agg_params=percentile(0.95, discrete=False)),
        measure("net", expr="case when is_instant then value else value * 2 end"),
    ),
    model(
        "views",
        "viewed_at",
        {
            "view": "primary view_id",
            "user": "foreign user_id",
            "guest": "foreign user_id",
            "listing": "foreign listing_id",
        },
        [time("viewed_at", "minute"), word("device")],
        measure("views", expr="1"),
        measure("viewers", "count_distinct", "user_id"),
    ),
    model(
        "listings",
        "created_at",
        {"listing": "primary listing_id", "user": "foreign user_id"},
        [time("created_at", "hour"), word("country"), word("capacity"), word("is_lux")],
        measure("listings", expr="1"),
        measure("capacity_max", "max", "capacity"),
        measure("capacity", "sum", "capacity"),
    ),
    model(
        "users",
        "joined_at",
        {"user": "primary user_id", "guest": "unique user_id", "host": "unique user_id"},
        [time("joined_at"), time("archived_at", "hour"), word("home_state")],
        measure("joined", expr="1"),
        measure("archived", "count", "user_id", agg_time_dimension="archived_at"),
    ),
    model(
        "companies",
        None,
        {"company": "primary company_id", "user": "unique user_id"},
        [word("company_name")],
    ),
    model(
        "places",
        None,
        {"place": "natural listing_id", "tier": "foreign tier_id"},
        [
            time("active_from", validity={"is_start": True, "is_end": False}),
            time("active_to", validity={"is_start": False, "is_end": True}),
            word("size"),
        ],
    ),
    model("tiers", None, {"tier": "primary tier_id"}, [word("tier_name")]),
    model(
        "accounts",
        "ds",
        {"account_entry": "primary account_row", "user": "foreign user_id"},
        [time("ds"), word("kind")],
        measure("balance_last", expr="balance", non_additive_dimension=level("max")),
        measure("balance_first", expr="balance", non_additive_dimension=level("min")),
        measure("balance_each", expr="balance", non_additive_dimension=level("max", groupings=("user",))),
        measure("balance_average", "average", "balance", non_additive_dimension=level("max")),
    ),
    model(
        "payments",
        "ds",
        {"payment": "primary payment_id", "account": "foreign account_id"},
        [time("ds"), time("ds_part", is_partition=True)],
        measure("paid"),
    ),
    model(
        "bridge",
        None,
        {"account": "primary account_id", "customer": "foreign customer_id"},
        [time("ds_part", is_partition=True), word("extra")],
    ),
    model(
        "customers",
        None,
        {"customer": "primary customer_id"},
        [time("ds_part", is_partition=True), word("customer_name")],
    ),
    model(
        "revenues",
        "month_start",
        {"revenue": "primary revenue_id", "user": "foreign user_id"},
        [time("month_start", "month")],
        measure("income"),
    ),
    model(
        "plans",
        "year_start",
        {"plan": "primary plan_id", "user": "foreign user_id"},
        [time("year_start", "year")],
        measure("target"),
    ),
]

SPINES = [("spine_day", "day", "day", ["alien_day", "sprint"]), ("spine_hour", "ts", "hour", ["shift"])]
SPINES += [("spine_month", "month_start", "month", [])]


def manifest(seed: int) -> dict[str, Any]:
    """As dbt writes it: the models above, and metrics drawn by `seed`."""
    spines = [
        {
            "node_relation": {
                "alias": table,
                "schema_name": "main",
                "database": "market",
                "relation_name": f'"market"."main"."{table}"',
            },
            "primary_column": {"name": column, "time_granularity": grain},
            "custom_granularities": [{"name": name, "column_name": name} for name in custom],
        }
        for table, column, grain, custom in SPINES
    ]
    return {
        "semantic_models": MODELS,
        "metrics": Definitions(random.Random(seed)).drawn(),
        "saved_queries": [],
        "project_configuration": {
            "time_spines": spines,
            "time_spine_table_configurations": [],
            "dsi_package_version": {"major_version": "0", "minor_version": "9", "patch_version": "0"},
            "metadata": None,
        },
    }


# --- Metrics, drawn -----------------------------------------------------------------------------------------

MEASURES = {measure["name"]: (model, measure) for model in MODELS for measure in model["measures"]}
# What each measure's model can be filtered by, as the text between braces and the conditions on it.
WORDS = {
    "bookings": {
        "Dimension('booking__is_instant')": ["", "is not true"],
        "Dimension('booking__is_dear')": [""],
        "Dimension('listing__country')": ["= 'IS'", "is null", "<> 'DE'"],
        "Dimension('guest__home_state')": ["= 'CA'", "in ('CA', 'NY')"],
        "Dimension('host__home_state')": ["= 'NY'"],
        "Dimension('listing__capacity')": ["> 2"],
        "Entity('listing')": ["= 1", "is not null"],
        "Dimension('user__home_state', entity_path=['listing'])": ["= 'CA'"],
        "TimeDimension('booking__paid_at', 'month')": [">= '2024-02-01'"],
        "TimeDimension('metric_time', 'day')": [">= '2024-01-15'"],
        "Metric('views', ['listing'])": ["> 2", "is null"],
        "Metric('listings', ['listing'])": ["= 1"],
        "Metric('views', ['guest'])": [">= 1"],
    },
    "views": {
        "Dimension('view__device')": ["= 'phone'", "is null", "<> 'phone'"],
        "Dimension('user__home_state')": ["= 'CA'"],
        "Dimension('listing__is_lux')": ["", "is null"],
        "Dimension('metric_time').date_part('day')": ["> 14"],
        "TimeDimension('view__viewed_at', 'hour')": ["<> '2024-01-03 09:00:00'"],
        "Metric('bookings', ['listing'])": ["> 1", "< 3"],
    },
    "listings": {
        "Dimension('listing__country')": ["= 'IS'"],
        "Dimension('user__home_state')": ["<> 'CA'"],
        "Metric('bookings', ['listing'])": [">= 2"],
    },
    "users": {"Dimension('user__home_state')": ["= 'CA'", "is not null"], "Metric('listings', ['user'])": [">= 1"]},
    "accounts": {"Dimension('account_entry__kind')": ["= 'savings'"], "Dimension('user__home_state')": ["= 'CA'"]},
    "payments": {
        "Dimension('account__extra')": ["= 'x'"],
        "Dimension('customer__customer_name', entity_path=['account'])": ["= 'ann'", "is null"],
    },
    "revenues": {"Dimension('user__home_state')": ["= 'CA'"]},
    "plans": {"Dimension('user__home_state')": ["= 'CA'"]},
}
EXPRESSIONS = ["a + b", "a - b", "a * 1.0 / nullif(b, 0)", "a / b", "coalesce(a, 0) - coalesce(b, 0)", "a * 2 + 1"]
EXPRESSIONS += ["case when a > b then 1 else 0 end", "cast(a as double) - b", "(a - b) / b"]


class Definitions:
    """Fifty metrics, later ones made of earlier ones."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.made: list[dict[str, Any]] = []
        self.models: dict[str, set[str]] = {}  # the models that each metric's facts are of
        self.kinds: dict[str, str] = {}

    def drawn(self) -> list[dict[str, Any]]:
        for name in ("bookings", "views", "listings", "income", "paid", "joined", "balance_last"):
            self.simple(name, plain=True)
        for name in ("views", "listings"):
            before = {"name": name, "alias": "before", "offset_window": {"count": 1, "granularity": "sprint"}}
            before |= {"offset_to_grain": None, "filter": None}
            self.add(
                f"{name}_a_sprint_ago",
                "derived",
                {MEASURES[name][0]["name"]},
                {"expr": "before", "metrics": [before]},
                [],
            )
        for _ in range(14):
            self.simple(self.chance.choice(list(MEASURES)))
        for _ in range(9):
            self.cumulative()
        for _ in range(6):
            self.conversion()
        for _ in range(18):
            (self.ratio if self.chance.random() < 0.3 else self.derived)()
        return self.made

    def add(
        self, name: str, kind: str, models: set[str], params: dict[str, Any], filters: list[str], **more: Any
    ) -> None:
        empty = {"measure": None, "metrics": [], "numerator": None, "denominator": None, "expr": None, "window": None}
        empty |= {"grain_to_date": None, "cumulative_type_params": None, "conversion_type_params": None}
        self.made.append(
            {
                "name": name,
                "type": kind,
                "description": "",
                "label": name,
                "filter": where(filters),
                "type_params": empty | {"input_measures": []} | params,
                "time_granularity": None,
                "config": {"meta": {}},
            }
            | more
        )
        self.models[name], self.kinds[name] = models, kind

    def simple(self, measure: str, *, plain: bool = False) -> None:
        model = MEASURES[measure][0]["name"]
        name = measure if plain else self.name(measure)
        used = self.measure(measure) if not plain else self.measure(measure, plain=True)
        coarse = self.chance.choice([None, None, None, None, "month"]) if not plain else None
        self.add(
            name, "simple", {model}, {"measure": used}, [] if plain else self.filters({model}), time_granularity=coarse
        )

    def measure(self, name: str, *, plain: bool = False, filtered: bool = True) -> dict[str, Any]:
        chance = self.chance
        made = {"name": name, "alias": None, "filter": None, "fill_nulls_with": None, "join_to_timespine": False}
        if plain:
            return made
        model = MEASURES[name][0]["name"]
        if filtered:
            made["filter"] = where(self.filters({model}, likely=0.15))
        if chance.random() < 0.35:
            made["fill_nulls_with"] = chance.choice([0, 0, 7])
        made["join_to_timespine"] = chance.random() < 0.3
        return made

    def cumulative(self) -> None:
        measure = self.chance.choice(list(MEASURES))
        if MEASURES[measure][1]["non_additive_dimension"]:
            measure = "bookings"
        model, spec = MEASURES[measure][0]["name"], MEASURES[measure][1]
        clock = spec["agg_time_dimension"] or MEASURES[measure][0]["defaults"]["agg_time_dimension"]
        grain = next(
            d["type_params"]["time_granularity"] for d in MEASURES[measure][0]["dimensions"] if d["name"] == clock
        )
        windows = {
            "minute": [(3, "hour"), (2, "day"), (90, "minute")],
            "hour": [(6, "hour"), (2, "day"), (1, "week")],
            "day": [(7, "day"), (2, "week"), (1, "month"), (1, "quarter"), (1, "day"), (40, "day")],
            "month": [(2, "month"), (1, "quarter"), (1, "year")],
            "year": [(1, "year"), (2, "year")],
        }[grain]
        draw = self.chance.random()
        params: dict[str, Any] = {"window": None, "grain_to_date": None}
        params["period_agg"] = self.chance.choice(["first", "first", "last", "average"])
        if draw < 0.55:
            count, unit = self.chance.choice(windows)
            params["window"] = {"count": count, "granularity": unit}
        elif draw < 0.8:
            params["grain_to_date"] = self.chance.choice(
                {"year": ["year"], "month": ["quarter", "year"]}.get(grain, ["week", "month", "year"])
            )
        used = self.measure(measure, filtered=False)
        self.add(
            self.name("so_far"),
            "cumulative",
            {model},
            {"measure": used, "cumulative_type_params": params},
            self.filters({model}, likely=0.25),
        )

    def conversion(self) -> None:
        base, to, entity = self.chance.choice(
            [
                ("views", "bookings", "guest"),
                ("views", "bookings", "listing"),
                ("viewers", "guests", "guest"),
                ("bookings", "bookings", "guest"),
                ("joined", "value_paid", "guest"),
                ("joined", "views", "user"),
                ("listings", "views", "listing"),
            ]
        )
        windows = [None, (7, "day"), (1, "day"), (1, "month"), (2, "week"), (5, "hour")]
        window = self.chance.choice(windows)
        same = []
        if (base, to) == ("views", "bookings") and entity == "guest" and self.chance.random() < 0.4:
            same = [{"base_property": "listing", "conversion_property": "listing"}]
        params = {
            "base_measure": self.measure(base),
            "conversion_measure": self.measure(to, filtered=self.chance.random() < 0.3),
            "base_metric": None,
            "conversion_metric": None,
            "entity": entity,
            "calculation": self.chance.choice(["conversion_rate", "conversions"]),
            "window": window and {"count": window[0], "granularity": window[1]},
            "constant_properties": same,
        }
        model = MEASURES[base][0]["name"]
        self.add(
            self.name("turned"),
            "conversion",
            {model},
            {"conversion_type_params": params},
            self.filters({model}, likely=0.2),
        )

    def ratio(self) -> None:
        sides = [self.input(offset=False) for _ in range(2)]
        models = {m for side in sides for m in self.models[side["name"]]}
        params = {"numerator": sides[0], "denominator": sides[1]}
        self.add(self.name("rate"), "ratio", models, params, self.filters(models, likely=0.2))

    def derived(self) -> None:
        first = self.input() | {"alias": "a"}
        second = self.input() | {"alias": "b"}
        if self.chance.random() < 0.4 and self.kinds[first["name"]] != "conversion":
            second = {**first, "alias": "b", "offset_window": None, "offset_to_grain": None}
            second |= self.offset(first["name"])
        models = {m for side in (first, second) for m in self.models[side["name"]]}
        params = {"expr": self.chance.choice(EXPRESSIONS), "metrics": [first, second]}
        self.add(self.name("made"), "derived", models, params, self.filters(models, likely=0.15))

    def input(self, *, offset: bool = True) -> dict[str, Any]:
        name = self.chance.choice(list(self.models))
        made = {"name": name, "alias": None, "offset_window": None, "offset_to_grain": None}
        made["filter"] = where(self.filters(self.models[name], likely=0.15))
        # MetricFlow drops an offset of a conversion: docs/differences.md.
        offset = offset and self.kinds[name] != "conversion"
        return made | (self.offset(name) if offset and self.chance.random() < 0.35 else {})

    def offset(self, name: str) -> dict[str, Any]:
        if self.chance.random() < 0.25:
            return {"offset_to_grain": self.chance.choice(["week", "month", "year"])}
        windows = [(1, "day"), (7, "day"), (2, "week"), (1, "month"), (1, "quarter"), (1, "year")]
        windows += [(1, "alien_day"), (1, "sprint")]
        if self.models[name] <= {"views", "listings"}:
            windows += [(3, "hour"), (5, "hour")]
        if self.models[name] & {"revenues", "plans"}:
            windows = [(1, "month"), (2, "month"), (1, "quarter"), (1, "year")]
        count, unit = self.chance.choice(windows)
        return {"offset_window": {"count": count, "granularity": unit}}

    def filters(self, models: set[str], *, likely: float = 0.4) -> list[str]:
        if len(models) > 1 or self.chance.random() > likely:
            return []
        words = WORDS[next(iter(models))]
        texts = []
        for item in self.chance.sample(list(words), k=min(len(words), self.chance.choice([1, 1, 2]))):
            condition = self.chance.choice(words[item])
            texts.append(f"{{{{ {item} }}}} {condition}".strip())
        return [f"({texts[0]}) or ({texts[1]})"] if len(texts) > 1 and self.chance.random() < 0.3 else texts

    def name(self, stem: str) -> str:
        return f"{stem}_{len(self.made)}"


def where(texts: list[str]) -> dict[str, Any] | None:
    return {"where_filters": [{"where_sql_template": text} for text in texts]} if texts else None


# --- Tables, drawn ------------------------------------------------------------------------------------------


def world(seed: int) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by table. Orphan and missing keys, ties, repeated rows, gaps, midnights."""
    chance = random.Random(seed)
    busy = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in chance.sample(range(85), 14)]
    users, places = [1, 2, 3], [1, 2, 3]
    parts = [dt.date(2024, 1, 1), dt.date(2024, 2, 1)]

    def day() -> dt.date:
        return chance.choice(busy)

    def moment() -> dt.datetime:
        hour = chance.choice([0, 0, 9, 9, 14, 23])
        return dt.datetime.combine(day(), dt.time(hour, chance.choice([0, 0, 30, 59])))

    def key(values: list[int]) -> int | None:
        return chance.choice([*values * 3, 99, None])

    def several(*counts: int) -> range:
        return range(chance.choice(counts))

    return {
        "bookings": [
            (
                n,
                key(users),
                key(users),
                key(places),
                moment(),
                chance.choice([None, day(), day()]),
                chance.choice([True, False, None]),
                chance.choice([50.0, 100.0, 120.5, 250.0, None]),
                chance.choice([None, 1, 2]),
            )
            for n in several(0, 15, 30, 40)
        ],
        "views": [
            (n, key(users), key(places), moment(), chance.choice(["phone", "desk", None])) for n in several(0, 20, 40)
        ],
        "listings": [
            (n, key(users), moment(), chance.choice(["IS", "DE", None]), chance.choice([1, 3, 5, None]), n == 1)
            for n in places
        ],
        "users": [
            (n, chance.choice(["CA", "NY", None]), chance.choice([day(), None]), chance.choice([None, moment()]))
            for n in users
        ],
        "companies": [(10, 1, "acme"), (11, 2, chance.choice(["beta", None]))],
        "places": [
            (1, 1, dt.date(2023, 1, 1), dt.date(2024, 1, 20), 40),
            (1, 2, dt.date(2024, 1, 20), None, 55),
            (2, 1, dt.date(2024, 1, 10), dt.date(2024, 2, 10), chance.choice([60, None])),
            (2, None, dt.date(2024, 2, 20), None, 61),
        ],
        "tiers": [(1, "basic"), (2, "plus")],
        "accounts": [
            (n, key(users), day(), chance.choice(["savings", "checking"]), chance.choice([-5, 10, 200, None]))
            for n in several(0, 20, 30)
        ],
        "payments": [
            (n, key([1, 2]), day(), chance.choice([*parts, None]), chance.choice([1, 5, None])) for n in several(0, 20)
        ],
        "bridge": [(a, chance.choice([1, 2, 99]), part, chance.choice(["x", "y"])) for a in (1, 2) for part in parts],
        "customers": [(c, chance.choice(["ann", "bob", None]), part) for c in (1, 2) for part in parts],
        "revenues": [(n, key(users), day().replace(day=1), chance.choice([10, 20, None])) for n in several(0, 12)],
        "plans": [
            (n, key(users), dt.date(chance.choice([2023, 2024]), 1, 1), chance.choice([100, 200]))
            for n in several(0, 5)
        ],
        "spine_day": [(d, alien_day(d), (d - FIRST).days // 10) for d in days()],
        "spine_hour": [
            (dt.datetime.combine(d, dt.time(hour)), dt.datetime.combine(d, dt.time(hour - hour % 8)))
            for d in days()
            for hour in range(24)
        ],
        "spine_month": [(dt.date(year, month, 1),) for year in (2023, 2024) for month in range(1, 13)],
    }


def days() -> list[dt.date]:
    return [FIRST + dt.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def alien_day(day: dt.date) -> dt.date:
    """Alien days last ten of ours, and begin on the first of November."""
    return day - dt.timedelta(days=(day - FIRST).days % 10)
