"""A project of any size: snowflakes of five models each, ten metrics a model, and questions about them.

Of every five models four are facts, with two entities of the fifth kind and one of another snowflake; the fifth is a
dimension table, and leads on to that of the next snowflake.
"""

import random
from typing import Any

Json = dict[str, Any]

METRICS_A_MODEL = 10
DIMENSIONS = ("kind", "status", "channel", "tier", "colour")


def manifest(models: int) -> Json:
    """As dbt writes it, with `models` semantic models and ten times as many metrics."""
    days = {"node_relation": relation("days"), "primary_column": {"name": "day", "time_granularity": "day"}}
    return {
        "semantic_models": [model(number, models) for number in range(models)],
        "metrics": [metric for number in range(models) for metric in metrics(number, models)],
        "project_configuration": {
            "time_spine_table_configurations": [],
            "dsi_package_version": {"major_version": "0", "minor_version": "9", "patch_version": "0"},
            "time_spines": [days | {"custom_granularities": []}],
        },
        "saved_queries": [],
    }


def model(number: int, models: int) -> Json:
    entities = [{"name": f"e{number}", "type": "primary", "expr": f"e{number}_id"}]
    entities += [{"name": f"e{each}", "type": "foreign", "expr": f"e{each}_id"} for each in leads_to(number, models)]
    dimensions: list[Json] = [
        {"name": name, "type": "categorical", "description": f"The {name} of e{number}."} for name in DIMENSIONS
    ]
    dimensions.append({"name": "happened_at", "type": "time", "type_params": {"time_granularity": "day"}})
    aggregates = {"amount": "sum", "price": "average", "people": "count_distinct", "last": "max", "rows": "count"}
    measures = [{"name": f"{name}_{number}", "agg": agg, "expr": name} for name, agg in aggregates.items()]
    return {
        "name": f"model_{number}",
        "description": f"One row an e{number}, with what it leads to.",
        "node_relation": relation(f"model_{number}"),
        "defaults": {"agg_time_dimension": "happened_at"},
        "entities": entities,
        "dimensions": dimensions,
        "measures": measures,
    }


def leads_to(number: int, models: int) -> list[int]:
    """The models that a model has foreign keys to: dimension tables, whose numbers five divides."""
    snowflake, place = divmod(number, 5)
    following = [5 * ((snowflake + step) % (models // 5)) for step in (1, 2)]
    ahead = [each for each in following if each != number]
    return ahead[:1] if place == 0 else list(dict.fromkeys([5 * snowflake, *ahead]))


def metrics(number: int, models: int) -> list[Json]:
    def simple(name: str, measure: str, filter: str | None = None) -> Json:
        return metric(name, "simple", {"measure": {"name": f"{measure}_{number}"}}, filter)

    def metric(name: str, type: str, params: Json, filter: str | None = None) -> Json:
        filters = {"filter": {"where_filters": [{"where_sql_template": filter}]}} if filter else {}
        description = f"The {name.replace('_', ' ')} of e{number}."
        return {
            "name": f"{name}_{number}",
            "description": description,
            "type": type,
            "type_params": {"input_measures": []} | params,
        } | filters

    def name(text: str) -> Json:
        return {"name": f"{text}_{number}"}

    status = f"{{{{ Dimension('e{number}__status') }}}} = 'done'"
    joined = f"{{{{ Dimension('e{leads_to(number, models)[0]}__tier') }}}} = 'gold'"
    growth = [name("revenue"), name("revenue") | {"alias": "ago", "offset_window": {"count": 1, "granularity": "week"}}]
    profit = {"expr": "all_of_it - part", "metrics": [name("revenue") | {"alias": "all_of_it"},
                                                      name("done_revenue") | {"alias": "part"}]}  # fmt: skip
    week = {"window": {"count": 7, "granularity": "day"}, "period_agg": "last"}
    return [
        simple("revenue", "amount"),
        simple("events", "rows"),
        simple("average_price", "price"),
        simple("buyers", "people"),
        simple("done_revenue", "amount", status),
        simple("gold_revenue", "amount", joined),
        metric("done_share", "ratio", {"numerator": name("done_revenue"), "denominator": name("revenue")}),
        metric("open_revenue", "derived", profit),
        metric("growth", "derived", {"expr": f"(revenue_{number} - ago) / ago", "metrics": growth}),
        metric("revenue_7d", "cumulative", {"measure": name("amount"), "cumulative_type_params": week}),
    ]


def tables(manifest: Json) -> str:
    """The SQL that makes the tables of such a project, with no rows."""
    columns = {name: "VARCHAR" for name in DIMENSIONS} | {"happened_at": "DATE", "amount": "DOUBLE", "price": "DOUBLE"}
    columns |= {"people": "INTEGER", "last": "INTEGER", "rows": "INTEGER"}
    made = ["CREATE TABLE days (day DATE)"]
    for each in manifest["semantic_models"]:
        own = {entity["expr"]: "INTEGER" for entity in each["entities"]} | columns
        listed = ", ".join(f'"{name}" {kind}' for name, kind in own.items())
        made.append(f"CREATE TABLE {each['node_relation']['alias']} ({listed})")
    return ";\n".join(made)


def questions(models: int, count: int, seed: int = 0) -> list[Json]:
    """One to four metrics of one or two facts, by time and by dimensions up to two hops away."""
    chance = random.Random(seed)
    kinds = ("revenue", "events", "average_price", "buyers", "done_revenue", "gold_revenue", "done_share",
             "open_revenue", "growth", "revenue_7d")  # fmt: skip
    asked = []
    for _ in range(count):
        fact = 5 * chance.randrange(models // 5) + chance.randrange(1, 5)
        near = chance.choice(leads_to(fact, models))
        far = leads_to(near, models)[0]
        other = 5 * (fact // 5) + chance.randrange(1, 5)  # of the same snowflake: shares the dimension table
        shared = 5 * (fact // 5)
        if chance.random() < 0.3:
            names = [f"{chance.choice(kinds)}_{fact}", f"{chance.choice(kinds)}_{other}"]
            reached = [f"e{shared}__kind", f"e{shared}__e{leads_to(shared, models)[0]}__kind"]
        else:
            names = [f"{kind}_{fact}" for kind in chance.sample(kinds, chance.choice([1, 1, 2, 4]))]
            reached = [f"e{fact}__kind", f"e{near}__tier", f"e{near}__e{far}__colour"]
        group_by = [f"metric_time__{chance.choice(['day', 'day', 'week', 'month'])}"]
        group_by += chance.sample(reached, chance.choice([0, 1, 1, 2]))
        where = [f"{{{{ {template(reached[1])} }}}} = 'x'"] if chance.random() < 0.4 else []
        asked.append({"metrics": list(dict.fromkeys(names)), "group_by": group_by, "where": where})
    return asked


def template(dimension: str) -> str:
    """`e1__e2__kind` -> `Dimension('e2__kind', entity_path=['e1'])`"""
    *path, entity, name = dimension.split("__")
    return f"Dimension('{entity}__{name}'" + (f", entity_path={path})" if path else ")")


def relation(table: str) -> Json:
    return {
        "alias": table,
        "schema_name": "main",
        "database": "shop",
        "relation_name": f'"shop"."main"."{table}"',
    }
