"""Exact features: one table for each view, computed from the facts before each request."""

from collections.abc import Collection, Sequence

from sqlglot import exp

from gemel.compiler.compiled import Compiled, Context, compile_select, compiled
from gemel.compiler.features.moments import cast_features
from gemel.compiler.features.requests import StoredParts, plan_parts, plan_requests
from gemel.compiler.features.streams import ROW
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.question.expressions import column, equal, identifier
from gemel.compiler.sql import dialects
from gemel.errors import BridgeError
from gemel.features.selection import Chosen
from gemel.features.types import TYPES
from gemel.progress import track
from gemel.run import ScratchRunner
from gemel.spec.manifest import Relation
from gemel.training.exactness import check_exact
from gemel.training.source import REQUESTS, Source, requests_table

STREAMS = 8
"""The maximum number of streams of running sums: each one scans all the facts for its keys."""


def compute_exact(
    scratch: ScratchRunner, source: Source, chosen: Sequence[Chosen], inputs: Collection[str]
) -> exp.Select:
    """Write a table of each view's features, and return the query that joins them. Raises BridgeError (G55x)."""
    check_exact(source.graph, chosen)
    count = exp.select(exp.Count(this=exp.Star())).from_(requests_table())
    [(requests,)] = scratch.rows(compile_select(count, scratch.dialect))
    for each in track(chosen, "windows of", lambda each: each.view.name):
        name = each.view.name
        plain = each.alone()
        facts = Relation(f"facts_{name}", schema="main", database="temp")
        kept, drifting = None, frozenset[str]()
        if summed := plan_parts(source.graph, plain):
            scratch.into(facts.name, _compile(source, summed))
            kept, drifting = _read_stored(scratch, facts)
        streams = min(scratch.threads(), STREAMS)
        plan = plan_requests(
            source.graph,
            plain,
            requests=REQUESTS,
            drifting=drifting,
            stored=kept,
            streams=streams,
            whole=each.view,
        )
        types = {feature: TYPES[source.types[name][feature]].sql for feature in each.columns}
        rows = scratch.into(f"exact_{name}", _compile(source, cast_features(plan, types)))
        if kept:
            scratch.drop(facts.name)
        if rows != requests:
            raise BridgeError(
                "G557",
                f"{rows - requests:,} rows would come out twice: a dimension of {name} has two rows for one key",
                hint="`gemel validate --data` lists the keys that are not unique",
                place=each.view.place,
            )
    sources = [(f"exact_{each.view.name}", each.view.name) for each in chosen]
    if inputs or not chosen:  # otherwise any of the tables has a row for each request
        sources.insert(0, (REQUESTS.name, "requests"))
    (_, first), *others = tables = [(_aliased(table, alias), alias) for table, alias in sources]
    query = exp.select(column(ROW, first), *(column(name, "requests") for name in inputs))
    query = query.from_(tables[0][0], copy=False)
    for table, name in others:
        query = query.join(table, on=equal(column(ROW, first), column(ROW, name)), join_type="left", copy=False)
    features = ((each.view.name, feature) for each in chosen for feature in each.columns)
    return query.select(*(exp.alias_(column(f, name), identifier(f"{name}.{f}")) for name, f in features), copy=False)


def _aliased(table: str, alias: str) -> exp.Expr:
    relation = exp.Table(this=identifier(table), db=identifier("main"), catalog=identifier("temp"))
    return exp.alias_(relation, identifier(alias), table=True)


def _read_stored(scratch: ScratchRunner, facts: Relation) -> tuple[StoredParts, frozenset[str]]:
    """The columns without NULLs of a table of facts, and its columns of fractions."""
    table = dialects.named(frozenset({"temp"}))(facts)
    described = scratch.describe(compile_select(exp.select("*").from_(table), scratch.dialect))
    is_full = [equal(exp.Count(this=exp.Star()), exp.Count(this=column(name))) for name, _ in described]
    [row] = scratch.rows(compile_select(exp.select(*is_full).from_(table), scratch.dialect))
    full = frozenset(name for (name, _), is_so in zip(described, row, strict=True) if is_so)
    return StoredParts(facts, full), frozenset(name for name, type_ in described if type_ in ("DOUBLE", "FLOAT"))


def _compile(source: Source, plan: Plan) -> Compiled:
    return compiled(plan, Context.naming(ScratchRunner.dialect, source.catalogs | {"temp"}))
