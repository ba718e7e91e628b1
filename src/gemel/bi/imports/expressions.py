"""A metric of another tool, one SQL expression, as dbt metrics: a measure for each aggregate, a formula over them."""

from collections.abc import Sequence

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from gemel.bi.exports.texts import STANDARD
from gemel.bi.imports.tables import Dataset, Datasets, dbt_name
from gemel.spec.fields import Json


class Inexpressible(ValueError):
    """The reason why dbt cannot express a metric."""


def metrics_of(metric: Json, expression: tuple[str, str], datasets: Datasets) -> Sequence[Json]:
    """The metric as dbt metrics, its inputs first; their measures are added to the datasets. Raises Inexpressible."""
    text, dialect = expression
    try:
        tree = parse_one(text, dialect=dialect)
    except SqlglotError:
        raise Inexpressible(f"its expression cannot be parsed: {text}") from None
    if tree.find(exp.Window, exp.Query):
        raise Inexpressible("its expression reads rows outside of its group")
    name = dbt_name(str(metric.get("name")))
    about = {key: metric[key].strip() for key in ("description",) if isinstance(metric.get(key), str)}
    if str(metric.get("name")) != name:
        about["label"] = str(metric["name"])
    aggregates = list(dict.fromkeys(_aggregates(tree)))
    if not aggregates:
        raise Inexpressible("its expression has no aggregate")
    measures = [_measure(each, datasets) for each in aggregates]
    if tree == aggregates[0]:
        [(dataset, measure)] = measures
        dataset.measures.append({"name": name, **measure})
        return [{"name": name, "type": "simple", **about, "type_params": {"measure": name}}]
    parts = [f"{name}_part_{number}" for number, _ in enumerate(aggregates, 1)]
    for part, (dataset, measure) in zip(parts, measures, strict=True):
        dataset.measures.append({"name": part, **measure})
    inner = [{"name": part, "type": "simple", "type_params": {"measure": part}} for part in parts]
    handles = dict(zip(aggregates, parts, strict=True))

    def part_of(node: exp.Expr) -> exp.Expr:
        return exp.column(handles[node]) if node in handles else node

    formula = tree.transform(part_of)
    if formula.find(exp.Column) and any(each.name not in parts for each in formula.find_all(exp.Column)):
        raise Inexpressible("its expression has a column outside of any aggregate")
    params = {"expr": formula.sql(STANDARD), "metrics": [{"name": part} for part in parts]}
    return [*inner, {"name": name, "type": "derived", **about, "type_params": params}]


_AGGREGATES = {exp.Sum: "sum", exp.Min: "min", exp.Max: "max", exp.Avg: "average"}


def _aggregates(tree: exp.Expr) -> list[exp.Expr]:
    """The outermost aggregates, in order."""
    if isinstance(tree, exp.WithinGroup | exp.AggFunc | exp.Filter):
        return [tree]
    return [each for child in tree.iter_expressions() for each in _aggregates(child)]


def _measure(aggregate: exp.Expr, datasets: Datasets) -> tuple[Dataset, Json]:
    where = None
    if isinstance(aggregate, exp.Filter):
        aggregate, where = aggregate.this, aggregate.expression.this
    dataset = _dataset(aggregate, where, datasets)
    if dataset.time is None:
        raise Inexpressible(f"dataset {dataset.name} has no time dimension, which a dbt measure needs")
    params: Json = {}
    match aggregate:
        case exp.Count(this=exp.Distinct(expressions=[value])):
            kind = "count_distinct"
        case exp.Count(this=exp.Star()):
            kind, value = "count", exp.Literal.number(1)
        case exp.Count(this=value) if not isinstance(value, exp.Distinct):
            kind = "count"
        case exp.Median(this=value):
            kind = "median"
        case exp.WithinGroup(
            this=exp.PercentileCont() | exp.PercentileDisc() as percentile,
            expression=exp.Order(expressions=[exp.Ordered(this=value) as ordered]),
        ) if isinstance(percentile.this, exp.Literal) and not ordered.args.get("desc"):
            discrete = isinstance(percentile, exp.PercentileDisc)
            kind = "percentile"
            params = {"percentile": float(percentile.this.name), "use_discrete_percentile": discrete}
        case exp.Sum() | exp.Min() | exp.Max() | exp.Avg() if not isinstance(aggregate.this, exp.Distinct):
            kind, value = _AGGREGATES[type(aggregate)], aggregate.this
        case _:
            raise Inexpressible(f"dbt has no aggregate for {aggregate.sql(STANDARD)}")
    if value.find(exp.AggFunc):
        raise Inexpressible(f"it aggregates an aggregate: {aggregate.sql(STANDARD)}")
    measured = _over_columns(value, dataset)
    if where is not None:
        measured = exp.case().when(_over_columns(where, dataset), measured)
    return dataset, {"agg": kind, "expr": measured.sql(STANDARD), **({"agg_params": params} if params else {})}


def _dataset(aggregate: exp.Expr, where: exp.Expr | None, datasets: Datasets) -> Dataset:
    """The dataset whose rows are aggregated."""
    by_name = datasets.by_name
    columns = [column for tree in (aggregate, where) if tree is not None for column in tree.find_all(exp.Column)]
    named: dict[str, None] = {}
    for column in columns:
        owners = (
            [column.table.lower()]
            if column.table
            else [n for n, d in by_name.items() if column.name.lower() in d.fields]
        )
        if len(owners) != 1:
            raise Inexpressible(
                f"{column.sql(STANDARD)} is a field of {'no' if not owners else 'more than one'} dataset"
            )
        named[owners[0]] = None
    if len(named) > 1:
        raise Inexpressible(f"one aggregate reads several datasets: {', '.join(sorted(named))}")
    if not named and len(by_name) == 1:
        return next(iter(by_name.values()))
    if not named:
        raise Inexpressible("it counts rows without naming a dataset")
    [name] = named
    if name not in by_name:
        raise Inexpressible(f"dataset {name} does not exist, or cannot be a semantic model")
    return by_name[name]


def _over_columns(tree: exp.Expr, dataset: Dataset) -> exp.Expr:
    """The expression with each field replaced by its own expression; a name that is not a field is a column."""

    def column(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column):
            return node
        field = dataset.fields.get(node.name.lower())
        if field is None:
            return exp.column(node.this.copy())
        inside = isinstance(node.parent, exp.Binary | exp.Unary)
        return exp.paren(field.copy()) if inside and isinstance(field, exp.Binary) else field.copy()

    return tree.transform(column)
