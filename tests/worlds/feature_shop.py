"""A shop whose sales become features: a manifest, rows in an in-memory DuckDB, and feature views as YAML."""

import datetime as dt
from functools import cache
from textwrap import dedent

import duckdb
import jinja2

from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.features.binding import bind_features
from gemel.features.columns import TypeSources, decide_types
from gemel.features.tables import Tables
from gemel.spec.feature_views import parse_feature_views
from gemel.spec.project import DbtProject


def model(name, entities, dimensions, measures=(), time=None):
    return {
        "name": name,
        "defaults": {"agg_time_dimension": time} if time else None,
        "node_relation": {"alias": name, "schema_name": "main", "database": "memory"},
        "entities": entities,
        "dimensions": dimensions,
        "measures": list(measures),
    }


def time(name, grain="second"):
    return {"name": name, "type": "time", "type_params": {"time_granularity": grain}}


def simple(name, measure, **more):
    params = {"measure": {"name": measure, **more.pop("input", {})}}
    return {"name": name, "type": "simple", "type_params": params, **more}


def where(text):
    return {"where_filters": [{"where_sql_template": text}]}


MANIFEST = {
    "semantic_models": [
        model(
            "sales",
            [
                {"name": "sale", "type": "primary", "expr": "sale_id"},
                {"name": "customer", "type": "foreign"},
                {"name": "shop", "type": "foreign"},
            ],
            [
                time("sold_at"),
                time("settled_at"),
                time("sold_on", "day"),
                {"name": "region", "type": "categorical", "description": "Where it was sold."},
            ],
            [
                {"name": "sale_count", "agg": "count", "expr": "1"},
                {"name": "amount", "agg": "sum"},
                {"name": "returned", "agg": "sum_boolean"},
                {"name": "average_amount", "agg": "average", "expr": "amount"},
                {"name": "median_amount", "agg": "median", "expr": "amount"},
                {"name": "buyers", "agg": "count_distinct", "expr": "customer"},
                {"name": "regions", "agg": "count_distinct", "expr": "region"},
                {"name": "largest", "agg": "max", "expr": "amount"},
            ],
            time="sold_at",
        ),
        model(
            "customers",
            [{"name": "customer", "type": "primary", "description": "Who buys."}],
            [
                {"name": "nick", "type": "categorical", "description": "What they are called."},
                {"name": "born", "type": "categorical"},
            ],
        ),
        model(
            "ranks",
            [{"name": "customer", "type": "natural"}],
            [
                {"name": "rank", "type": "categorical", "description": "How they were known."},
                *(
                    {
                        "name": f"ranked_{edge}",
                        "type": "time",
                        "type_params": {"time_granularity": "day", "validity_params": {f"is_{which}": True}},
                    }
                    for edge, which in (("from", "start"), ("to", "end"))
                ),
            ],
        ),
        model("suppliers", [{"name": "supplier", "type": "primary"}], [{"name": "city", "type": "categorical"}]),
    ],
    "metrics": [
        simple("orders", "sale_count", description="Sales made."),
        simple("revenue", "amount"),
        simple("returns", "returned"),
        simple("northern", "sale_count", filter=where("{{ Dimension('sale__region') }} = 'north'")),
        simple("returns_or_none", "returned", input={"fill_nulls_with": 0}),
        simple("average_amount", "average_amount"),
        simple("median_amount", "median_amount"),
        simple("settled", "sale_count", config={"meta": {"known_at": "sale__settled_at"}}),
        simple("sold_when_sold", "sale_count", config={"meta": {"known_at": "sale__sold_at"}}),
        {
            "name": "settled_share",
            "type": "ratio",
            "type_params": {"numerator": {"name": "settled"}, "denominator": {"name": "orders"}},
        },
        {
            "name": "return_rate",
            "type": "ratio",
            "type_params": {"numerator": {"name": "returns"}, "denominator": {"name": "orders"}},
        },
        {
            "name": "northern_share",
            "type": "ratio",
            "type_params": {
                "numerator": {"name": "orders", "filter": where("{{ Dimension('sale__region') }} = 'north'")},
                "denominator": {"name": "orders"},
            },
        },
        {
            "name": "revenue_ever",
            "type": "cumulative",
            "type_params": {"measure": {"name": "amount"}, "cumulative_type_params": {}},
        },
        {
            "name": "revenue_this_month",
            "type": "cumulative",
            "type_params": {"measure": {"name": "amount"}, "cumulative_type_params": {"grain_to_date": "month"}},
        },
        simple("regions", "regions"),
        {
            "name": "largest_ever",  # of a measure that no metric has: dbt makes one, which is its own
            "type": "cumulative",
            "type_params": {"measure": {"name": "largest"}, "cumulative_type_params": {}},
        },
        {
            "name": "sold_again",
            "type": "conversion",
            "type_params": {
                "conversion_type_params": {
                    "entity": "customer",
                    "calculation": "conversions",
                    "base_measure": {
                        "name": "sale_count",
                        "filter": where("{{ Dimension('sale__region') }} = 'north'"),
                    },
                    "conversion_measure": {"name": "sale_count"},
                    "window": "2 days",
                }
            },
        },
    ],
}
COLUMNS = (
    "sale_id integer, customer varchar, shop integer, region varchar, amount decimal(18, 2), returned boolean, "
    "sold_at timestamp, settled_at timestamp, sold_on date"
)


GRAPH = bind(read_manifest(MANIFEST))


class Shop:
    """`sell` adds facts; `table` is what dbt would build of a feature view."""

    def __init__(self):
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute(f"create table sales ({COLUMNS})")
        self.con.execute("create table customers (customer varchar, nick varchar, born smallint)")
        self.con.execute("create table ranks (customer varchar, rank varchar, ranked_from date, ranked_to date)")
        self.graph = GRAPH
        self.sold = []

    def sell(self, customer, at, amount=1, *, settled=None, region=None, returned=False, shop=1):
        row = (len(self.sold) + 1, customer, shop, region, amount, returned, at, settled or at, at and at[:10])
        self.sold.append(row)
        self.con.execute("insert into sales values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def spec(self, text):
        return parse_feature_views([("feature_views/shop.yml", dedent(text))])

    def bound(self, text):
        return bind_features(self.graph, self.spec(text))

    def describe(self, table):
        return tuple((name, kind) for name, kind, *_ in self.con.execute(f"DESCRIBE {table.sql}").fetchall())

    def types(self, bound):
        return decide_types(Tables(self.graph), bound, TypeSources(self.describe))

    def model(self, text):
        """The one view in `text`, and its dbt model."""
        bound = self.bound(text)
        [view] = bound.views
        return view, Tables(self.graph).model(view, self.types(bound)[view.name], dbt=DbtProject())

    def table(self, text, *, until="2024-03-01 00:00:00"):
        """The rows of the one view in `text`, as dicts, by entity and moment."""
        return self.rows(*self.model(text), until)

    def rows(self, view, model, until="2024-03-01 00:00:00"):
        sql = render(model, until)
        cursor = self.con.execute(f"select * from ({sql}) order by {', '.join(view.entities)}, event_timestamp")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@cache
def model_of(text):
    """As Shop.model, for a property whose many shops have few texts."""
    return Shop().model(text)


def open_shop():
    """The shop, open for one test: each folder that asks for it makes a fixture of this."""
    shop = Shop()
    yield shop
    shop.con.close()


def render(sql, until):
    """What dbt's Jinja makes of a generated model."""
    return jinja2.Template(sql).render(
        config=lambda **_: "",
        ref=lambda name: name,
        var=lambda name, default: until or default,
        run_started_at=dt.datetime(2024, 3, 2, 12),
    )


def days(rows, *columns):
    """`[("01-03", 2)]`: month and day of the moment, then the columns."""
    return [(f"{row['event_timestamp']:%m-%d}", *(row[name] for name in columns)) for row in rows]
