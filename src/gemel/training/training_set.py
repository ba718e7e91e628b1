"""A training set: each row of a spine with its features as they were at its moment. Nothing dropped, none twice.

*served* is what an online store would have answered: the newest row of the feature table at or before the moment.
*exact* is the metric over the window that ends at the moment itself, computed from the facts.
"""

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

from sqlglot import exp

from gemel.compiler.compiled import Compiled, Context, compile_select, compiled
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.features.moments import cast_features
from gemel.compiler.features.requests import Kept, plan_parts, plan_requests
from gemel.compiler.features.streams import ROW
from gemel.compiler.names.graph import Graph
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.question.expressions import column, conjunction, equal, identifier, interval
from gemel.compiler.sql import dialects
from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError
from gemel.features.selection import Choice, Chosen
from gemel.features.tables import CREATED, Tables
from gemel.features.types import TYPES
from gemel.on_demand.computing import Computed, compute
from gemel.on_demand.sql import sql_of, taken_in
from gemel.on_demand.terms import Reference
from gemel.run import OpenScratch, ScratchRunner
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject
from gemel.training.exactness import check_exact
from gemel.training.spine import Spine, check_columns, file_hash, read_spine, requests_of
from gemel.whole_files import write_rows, write_text

if TYPE_CHECKING:
    import pyarrow


Accuracy = Literal["served", "exact"]
Format = Literal["parquet", "arrow"]
FORMATS: dict[str, Format] = {".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow"}
REQUESTS = Relation("requests", schema="main", database="temp")
STREAMS = 8
"""The most streams of running sums: each looks for its keys among all the facts."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where features come from. `relations` are the tables' names, `dbt` is the project that they are of."""

    graph: Graph
    types: Mapping[str, Mapping[str, str]]
    relations: Mapping[str, str]
    catalogs: frozenset[str]
    dbt: DbtProject


class TrainingSet:
    """What was made: its `manifest`, and the rows, in `path` if they were written."""

    def __init__(self, manifest: dict[str, Any], *, path: Path | None = None, table: Any = None) -> None:
        self.manifest = manifest
        self.path = path
        self._table = table

    def arrow(self) -> "pyarrow.Table":
        """A pyarrow Table."""
        if self._table is not None:
            return self._table
        import pyarrow.feather
        import pyarrow.parquet

        parquet = self.manifest["format"] == "parquet"
        return pyarrow.parquet.read_table(self.path) if parquet else pyarrow.feather.read_table(self.path)

    def df(self) -> Any:
        """A pandas DataFrame (pandas must be installed)."""
        return self.arrow().to_pandas()


def make(
    source: Source,
    choice: Choice,
    spine: Any,
    open_scratch: OpenScratch,
    *,
    accuracy: Accuracy,
    time_column: str = MOMENT,
    out: Path | None = None,
    format: Format | None = None,
) -> TrainingSet:
    """Raises BridgeError (G550 to G558, G592) and WarehouseError."""
    if accuracy not in ("served", "exact"):
        raise BridgeError("G558", f"no accuracy {accuracy!r}", hint="served or exact")
    kind = _format(out, format)
    chosen, inputs = choice.needed(), choice.inputs()
    computed = [compute(view, source.types) for view, _ in choice.on_demand]
    keys = {entity: source.types[each.view.name][entity] for each in chosen for entity in each.view.entities}
    owners = {name: view for view, name in choice.features()}
    with tempfile.TemporaryDirectory(prefix="gemel-") as folder, open_scratch(Path(folder)) as scratch:
        texts = [name for name, type_ in (keys | inputs).items() if type_ == "string"]
        rows = read_spine(spine, scratch, temp=Path(folder), texts=texts)
        check_columns(rows, keys, inputs, owners, time_column=time_column)
        scratch.take(REQUESTS.name, requests_of(rows, keys, inputs, time_column=time_column))
        _check_times(scratch, time_column)
        match accuracy:
            case "served":
                joined = _served(source, chosen, inputs, _repeated(scratch, source, chosen))
            case "exact":
                check_exact(source.graph, chosen)
                joined = _exact(scratch, source, chosen, inputs)
            case _:
                assert_never(accuracy)
        schema, found = scratch.stream(
            compile_select(_answer(joined, choice, computed), scratch.dialect), size=64 * 2048
        )
        columns = _widened(rows.schema, schema)
        batches = _side_by_side(rows, found, columns)
        table = None
        if out is None:
            import pyarrow

            table = pyarrow.Table.from_batches(batches, columns)
        else:
            write_rows(out, kind, columns, batches)
    manifest = _manifest(source, choice, computed, rows, columns, accuracy=accuracy, time_column=time_column)
    if out is not None:
        manifest |= {"format": kind, "sha256": file_hash(out)}
        write_text(manifest_path(out), json.dumps(manifest, indent=2) + "\n")
    return TrainingSet(manifest, path=out, table=table)


def manifest_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.manifest.json")


def _format(out: Path | None, format: Format | None) -> Format:
    if out is not None and out.is_dir():
        raise BridgeError("G558", f"{out} is a directory", hint="name a file")
    found = format or FORMATS.get(out.suffix.lower() if out else ".parquet")
    if found is None or found not in FORMATS.values():
        raise BridgeError(
            "G558", f"{format or (out and out.name)!r} is no format of a training set", hint="parquet or arrow"
        )
    return found


def _check_times(scratch: ScratchRunner, time_column: str) -> None:
    """A row without a time would get NULL features, which a model takes for a fact: that nothing had happened."""
    without = exp.select(exp.Count(this=exp.Star())).from_(_requests()).where(column(MOMENT).is_(exp.null()))
    [(count,)] = scratch.rows(compile_select(without, scratch.dialect))
    if count:
        raise BridgeError(
            "G554",
            f"{count:,} row{'s' if count > 1 else ''} of the spine have no {time_column!r}, and so no features",
            hint="give each a time, or leave them out of the spine",
        )


# --- served -----------------------------------------------------------------------------------------------------


def _served(source: Source, chosen: Sequence[Chosen], inputs: Iterable[str], repeated: Collection[str]) -> exp.Select:
    """The newest row of each view's table at or before each moment, if it is not older than the `ttl`.

    Tables of the views in `repeated` may hold several rows of one moment, of which the one made last counts.
    """
    query = exp.select(*(column(name, "requests") for name in (ROW, *inputs)))
    query = query.from_(exp.alias_(_requests(), "requests", table=True), copy=False)
    moment = column(MOMENT, "requests")
    for each in chosen:
        view = each.view
        table: exp.Expr = exp.maybe_parse(source.relations[view.name], into=exp.Table, dialect=DIALECT)
        if view.name in repeated:
            table = exp.Subquery(this=_made_last(table, view.entities))
        table.set("alias", exp.TableAlias(this=identifier(view.name)))
        on = [equal(column(key, "requests"), column(key, view.name)) for key in view.entities]
        on.append(exp.GTE(this=moment.copy(), expression=column(MOMENT, view.name)))
        query = query.join(exp.Join(this=table, on=conjunction(on), method="ASOF", side="LEFT"), copy=False)
        for name in each.columns:
            value: exp.Expr = column(name, view.name)
            if view.ttl is not None:
                end = exp.Add(this=column(MOMENT, view.name), expression=interval(view.ttl))
                value = exp.case().when(exp.LTE(this=moment.copy(), expression=end), value)
            query = query.select(exp.alias_(value, identifier(f"{view.name}.{name}")), copy=False)
    return query


def _repeated(scratch: ScratchRunner, source: Source, chosen: Sequence[Chosen]) -> list[str]:
    """The views whose tables were not made all at once: only there can one moment have rows of several runs."""
    found = []
    for each in chosen:
        ends = exp.NEQ(this=exp.Min(this=column(CREATED)), expression=exp.Max(this=column(CREATED)))
        table = exp.to_table(source.relations[each.view.name], dialect=scratch.dialect)
        [(several,)] = scratch.rows(compile_select(exp.select(ends).from_(table), scratch.dialect))
        if several:
            found.append(each.view.name)
    return found


def _made_last(table: exp.Expr, keys: Sequence[str]) -> exp.Select:
    rank = exp.Window(
        this=exp.RowNumber(),
        partition_by=[column(name) for name in (*keys, MOMENT)],
        order=exp.Order(expressions=[exp.Ordered(this=column(CREATED), desc=True, nulls_first=False)]),
    )
    query = exp.select("*").from_(table)
    query.set("qualify", exp.Qualify(this=equal(rank, exp.Literal.number(1))))
    return query


# --- exact ------------------------------------------------------------------------------------------------------


def _exact(scratch: ScratchRunner, source: Source, chosen: Sequence[Chosen], inputs: Collection[str]) -> exp.Select:
    """Make a table of each view's features, and the query that brings them together."""
    count = exp.select(exp.Count(this=exp.Star())).from_(_requests())
    [(asked,)] = scratch.rows(compile_select(count, scratch.dialect))
    for each in chosen:
        name = each.view.name
        plain = each.alone()
        facts = Relation(f"facts_{name}", schema="main", database="temp")
        kept, drifting = None, frozenset[str]()
        if summed := plan_parts(source.graph, plain):
            scratch.into(facts.name, _compiled(source, summed))
            kept, drifting = _kept(scratch, facts)
        streams = min(scratch.threads(), STREAMS)
        plan = plan_requests(source.graph, plain, requests=REQUESTS, drifting=drifting, kept=kept, streams=streams)
        types = {feature: TYPES[source.types[name][feature]].sql for feature in each.columns}
        made = scratch.into(f"exact_{name}", _compiled(source, cast_features(plan, types)))
        if kept:
            scratch.drop(facts.name)
        if made != asked:
            raise BridgeError(
                "G557",
                f"{made - asked:,} rows would come out twice: a dimension of {name} has two rows for one key",
                hint="`gemel validate --data` tells which keys are not unique",
                place=each.view.place,
            )
    made_of = [(f"exact_{each.view.name}", each.view.name) for each in chosen]
    if inputs or not chosen:  # else any of them will do: each has a row for each request
        made_of.insert(0, (REQUESTS.name, "requests"))
    (_, first), *others = tables = [(_made(table, alias), alias) for table, alias in made_of]
    query = exp.select(column(ROW, first), *(column(name, "requests") for name in inputs))
    query = query.from_(tables[0][0], copy=False)
    for table, name in others:
        query = query.join(table, on=equal(column(ROW, first), column(ROW, name)), join_type="left", copy=False)
    taken = ((each.view.name, feature) for each in chosen for feature in each.columns)
    return query.select(*(exp.alias_(column(f, name), identifier(f"{name}.{f}")) for name, f in taken), copy=False)


def _made(table: str, alias: str) -> exp.Expr:
    made = exp.Table(this=identifier(table), db=identifier("main"), catalog=identifier("temp"))
    return exp.alias_(made, identifier(alias), table=True)


def _kept(scratch: ScratchRunner, facts: Relation) -> tuple[Kept, frozenset[str]]:
    """What is known of the facts in a table; and the columns that are fractions."""
    table = dialects.named(frozenset({"temp"}))(facts)
    described = scratch.describe(compile_select(exp.select("*").from_(table), scratch.dialect))
    is_full = [equal(exp.Count(this=exp.Star()), exp.Count(this=column(name))) for name, _ in described]
    [row] = scratch.rows(compile_select(exp.select(*is_full).from_(table), scratch.dialect))
    full = frozenset(name for (name, _), is_so in zip(described, row, strict=True) if is_so)
    return Kept(facts, full), frozenset(name for name, type_ in described if type_ in ("DOUBLE", "FLOAT"))


def _compiled(source: Source, plan: Plan) -> Compiled:
    return compiled(plan, Context.naming(ScratchRunner.dialect, source.catalogs | {"temp"}))


def _requests() -> exp.Table:
    return dialects.named()(REQUESTS)


# --- on demand ---------------------------------------------------------------------------------------------------


def _answer(joined: exp.Select, choice: Choice, computed: Sequence[Computed]) -> exp.Select:
    """The features that are asked for, in the order of the spine, of a query with all that they need."""
    query = exp.select().from_(joined.subquery("joined"))
    for each in choice.tables:
        features = (exp.alias_(column(f"{each.view.name}.{name}", "joined"), identifier(name)) for name in each.columns)
        query = query.select(*features, copy=False)
    for view, (_, names) in zip(computed, choice.on_demand, strict=True):
        values = ((name, sql_of(view.terms[name], _taken), TYPES[view.terms[name].type].sql) for name in names)
        query = query.select(*(exp.alias_(exp.cast(v, t, dialect=DIALECT), identifier(n)) for n, v, t in values))
    return query.order_by(column(ROW, "joined"), copy=False)


def _taken(reference: Reference) -> exp.Expr:
    return taken_in(column(reference.name, "joined"), reference.type)


# --- rows out -----------------------------------------------------------------------------------------------------


def _widened(spine: "pyarrow.Schema", features: "pyarrow.Schema") -> "pyarrow.Schema":
    import pyarrow

    return pyarrow.schema([*spine, *features], metadata=spine.metadata)


def _side_by_side(
    spine: Spine, features: Iterator["pyarrow.RecordBatch"], schema: "pyarrow.Schema"
) -> Iterator["pyarrow.RecordBatch"]:
    """The spine's batches, each with as many rows of features."""
    import pyarrow

    waiting: list[pyarrow.RecordBatch] = []
    for batch in spine.read(spine.schema.names):
        while sum(part.num_rows for part in waiting) < batch.num_rows:
            waiting.append(next(features))
        beside = pyarrow.Table.from_batches(waiting).combine_chunks()
        waiting = beside.slice(batch.num_rows).to_batches()
        values = [each.chunk(0) for each in beside.slice(0, batch.num_rows).columns]
        yield pyarrow.record_batch([*batch.columns, *values], schema=schema)
    assert not any(part.num_rows for part in waiting)
    assert next(features, None) is None


def _manifest(
    source: Source,
    choice: Choice,
    computed: Sequence[Computed],
    spine: Spine,
    schema: "pyarrow.Schema",
    *,
    accuracy: Accuracy,
    time_column: str,
) -> dict[str, Any]:
    """All that is needed to make the set again, and nothing that differs when it is."""
    tables = Tables(source.graph)
    definitions = {each.view.name: _definitions(tables, each) for each in choice.needed()}
    for made, (view, names) in zip(computed, choice.on_demand, strict=True):
        sources = tables.digests_of(choice.views, view.sources)
        definitions[view.name] = {"features": {name: made.digest(sources, name) for name in names}}
    return {
        "gemel": version("gemel"),
        "accuracy": accuracy,
        "rows": spine.rows,
        "spine": {"source": spine.told, "sha256": spine.sha256, "time_column": time_column},
        "features": [f"{view}.{name}" for view, name in choice.features()],
        **({"inputs": choice.inputs()} if choice.on_demand else {}),
        "definitions": definitions,
        "dbt": _invocation(source.dbt),
        "columns": {field.name: str(field.type) for field in schema},
    }


def _definitions(tables: Tables, each: Chosen) -> dict[str, Any]:
    made = tables.digests(each.view)
    return {"table": tables.digest(each.view), "features": {name: made[name] for name in each.columns}}


def _invocation(dbt: DbtProject) -> dict[str, Any]:
    """The run of dbt that the tables' names are of."""
    return {"invocation_id": dbt.invocation_id, "dbt_version": dbt.dbt_version, "project_name": dbt.name}
