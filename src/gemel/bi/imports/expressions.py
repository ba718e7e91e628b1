"""A metric of another tool, one SQL expression, as dbt's metrics: a measure for each aggregate, a formula over them."""

from collections.abc import Sequence

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from gemel.bi.exports.texts import STANDARD
from gemel.bi.imports.tables import Dataset, Datasets, dbt_name
from gemel.spec.fields import Json


class Unsaid(ValueError):
    """Why dbt cannot have the metric."""


def metrics_of(metric: Json, said: tuple[str, str], datasets: Datasets) -> Sequence[Json]:
    """The metrics that it comes down to, the one itself last; their measures go to their datasets. Raises Unsaid."""
    text, dialect = said
    try:
        tree = parse_one(text, dialect=dialect)
    except SqlglotError:
        raise Unsaid(f"its expression cannot be read: {text}") from None
    if tree.find(exp.Window, exp.Query):
        raise Unsaid("its expression looks at other rows than those of its group")
    name = dbt_name(str(metric.get("name")))
    about = {key: metric[key].strip() for key in ("description",) if isinstance(metric.get(key), str)}
    if str(metric.get("name")) != name:
        about["label"] = str(metric["name"])
    aggregates = list(dict.fromkeys(_aggregates(tree)))
    if not aggregates:
        raise Unsaid("its expression has no aggregate")
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
        raise Unsaid("its expression names a column outside of any aggregate")
    params = {"expr": formula.sql(STANDARD), "metrics": [{"name": part} for part in parts]}
    return [*inner, {"name": name, "type": "derived", **about, "type_params": params}]


_AGGREGATES = {exp.Sum: "sum", exp.Min: "min", exp.Max: "max", exp.Avg: "average"}


def _aggregates(tree: exp.Expr) -> list[exp.Expr]:
    """The outermost aggregates, in order."""
    if isinstance(tree, exp.WithinGroup | exp.AggFunc | exp.Filter):
        return [tree]
    return [found for child in tree.iter_expressions() for found in _aggregates(child)]


def _measure(aggregate: exp.Expr, datasets: Datasets) -> tuple[Dataset, Json]:
    where = None
    if isinstance(aggregate, exp.Filter):
        aggregate, where = aggregate.this, aggregate.expression.this
    dataset = _dataset(aggregate, where, datasets)
    if dataset.time is None:
        raise Unsaid(f"dataset {dataset.name} has no time dimension, and a measure of dbt's needs one")
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
            raise Unsaid(f"dbt has no aggregate for {aggregate.sql(STANDARD)}")
    if value.find(exp.AggFunc):
        raise Unsaid(f"it aggregates an aggregate: {aggregate.sql(STANDARD)}")
    measured = _over_columns(value, dataset)
    if where is not None:
        measured = exp.case().when(_over_columns(where, dataset), measured)
    return dataset, {"agg": kind, "expr": measured.sql(STANDARD), **({"agg_params": params} if params else {})}


def _dataset(aggregate: exp.Expr, where: exp.Expr | None, datasets: Datasets) -> Dataset:
    """The dataset whose rows are aggregated."""
    known = datasets.by_name
    columns = [column for tree in (aggregate, where) if tree is not None for column in tree.find_all(exp.Column)]
    named: dict[str, None] = {}
    for column in columns:
        owners = (
            [column.table.lower()] if column.table else [n for n, d in known.items() if column.name.lower() in d.fields]
        )
        if len(owners) != 1:
            raise Unsaid(f"{column.sql(STANDARD)} is a field of {'no' if not owners else 'more than one'} dataset")
        named[owners[0]] = None
    if len(named) > 1:
        raise Unsaid(f"one aggregate reads several datasets: {', '.join(sorted(named))}")
    if not named and len(known) == 1:
        return next(iter(known.values()))
    if not named:
        raise Unsaid("it counts rows, and does not say of which dataset")
    [name] = named
    if name not in known:
        raise Unsaid(f"dataset {name} is not there, or cannot be a semantic model")
    return known[name]


def _over_columns(tree: exp.Expr, dataset: Dataset) -> exp.Expr:
    """With each field replaced by what it is of the table's columns; a name that is no field is a column itself."""

    def column(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column):
            return node
        found = dataset.fields.get(node.name.lower())
        if found is None:
            return exp.column(node.this.copy())
        inside = isinstance(node.parent, exp.Binary | exp.Unary)
        return exp.paren(found.copy()) if inside and isinstance(found, exp.Binary) else found.copy()

    return tree.transform(column)
