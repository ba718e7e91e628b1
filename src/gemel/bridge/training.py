"""A training set: each row of a spine with its features as they were at its moment. Nothing dropped, none twice.

*served* is what an online store would have answered: the newest row of the feature table at or before the moment.
*exact* is the metric over the window that ends at the moment itself, computed from the facts.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

from sqlglot import exp

from gemel.bridge.features import Bound, BoundView, feature_query
from gemel.bridge.spine import Spine, check_columns, file_hash, read_spine, requests_of
from gemel.bridge.tables import CREATED, digest
from gemel.bridge.types import TYPES
from gemel.compiler import dialects, lowering, rules
from gemel.compiler.algebra import Plan
from gemel.compiler.cells import MOMENT
from gemel.compiler.expressions import column, conjunction, equal, identifier, interval
from gemel.compiler.graph import Graph
from gemel.compiler.moments import FeatureQuery
from gemel.compiler.requests import ROW, plan_parts, plan_requests
from gemel.errors import BridgeError, ProjectError, UnknownNameError, did_you_mean
from gemel.spec.manifest import Relation

if TYPE_CHECKING:
    import pyarrow

    from gemel.warehouse.duckdb import Scratch

Accuracy = Literal["served", "exact"]
Format = Literal["parquet", "arrow"]
FORMATS: dict[str, Format] = {".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow"}
REQUESTS = Relation("requests", schema="main", database="temp")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A view and the columns that are taken of it, in the order in which they are asked for."""

    view: BoundView
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where features come from. `relations` are the tables' names, `artifacts` is where dbt left its manifest.json."""

    graph: Graph
    types: Mapping[str, Mapping[str, str]]
    relations: Mapping[str, str]
    catalogs: frozenset[str]
    artifacts: Path


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


def choose(bound: Bound, names: Sequence[str]) -> tuple[Chosen, ...]:
    """The features that services, views and `view.feature` name. Raises UnknownNameError (G204), BridgeError (G555)."""
    views = {view.name: view for view in bound.views}
    services = {service.service.name: service for service in bound.services}
    every = {view.name: tuple(column.name for column in view.columns) for view in bound.views}
    taken: dict[str, dict[str, None]] = {}
    for name in names:
        view, _, feature = name.partition(".")
        if name in services:
            for each, columns in services[name].views:
                taken.setdefault(each.name, {}).update(dict.fromkeys(columns or every[each.name]))
        elif view in views and (not feature or feature in every[view]):
            taken.setdefault(view, {}).update(dict.fromkeys((feature,) if feature else every[view]))
        else:
            known = [*services, *views, *(f"{v}.{c}" for v, columns in every.items() for c in columns)]
            raise UnknownNameError(
                "G204", f"no feature view, service or feature named {name[:80]!r}", hint=did_you_mean(name, known)
            )
    owners: dict[str, str] = {}
    for owner, features in taken.items():
        for feature in features:
            if owners.setdefault(feature, owner) != owner:
                raise BridgeError(
                    "G555",
                    f"{owners[feature]} and {owner} both have a feature named {feature!r}",
                    hint="give one another name with `name:`, or take single features, as `view.feature`",
                )
    if not owners:
        raise BridgeError("G555", "no feature is named", hint="name a service, a view or `view.feature`")
    return tuple(Chosen(views[name], tuple(columns)) for name, columns in taken.items())


def make(
    source: Source,
    chosen: Sequence[Chosen],
    spine: Any,
    open_scratch: Callable[[Path], "Scratch"],
    *,
    accuracy: Accuracy,
    time_column: str = MOMENT,
    out: Path | None = None,
    format: Format | None = None,
) -> TrainingSet:
    """Raises BridgeError (G550 to G558) and WarehouseError."""
    if accuracy not in ("served", "exact"):
        raise BridgeError("G558", f"no accuracy {accuracy!r}", hint="served or exact")
    kind = _format(out, format)
    keys = {entity: source.types[each.view.name][entity] for each in chosen for entity in each.view.view.entities}
    owners = {name: each.view.name for each in chosen for name in each.columns}
    with tempfile.TemporaryDirectory(prefix="gemel-") as folder, open_scratch(Path(folder)) as scratch:
        texts = [name for name, type_ in keys.items() if type_ == "string"]
        rows = read_spine(spine, scratch, temp=Path(folder), texts=texts)
        check_columns(rows, keys, owners, time_column=time_column)
        scratch.take(REQUESTS.name, requests_of(rows, keys, time_column=time_column))
        _check_times(scratch, time_column)
        match accuracy:
            case "served":
                select = served_sql(source, chosen, _repeated(scratch, source, chosen))
            case "exact":
                select = _exact(scratch, source, chosen)
            case _:
                assert_never(accuracy)
        schema, found = scratch.stream(select, size=64 * 2048)
        joined = _widened(rows.schema, schema)
        batches = _side_by_side(rows, found, joined)
        table = None
        if out is None:
            import pyarrow

            table = pyarrow.Table.from_batches(batches, joined)
        else:
            _write(out, kind, joined, batches)
    manifest = _manifest(source, chosen, rows, joined, accuracy=accuracy, time_column=time_column)
    if out is not None:
        manifest |= {"format": kind, "sha256": file_hash(out)}
        _write_text(manifest_path(out), json.dumps(manifest, indent=2) + "\n")
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


def _check_times(scratch: "Scratch", time_column: str) -> None:
    """A row without a time would get NULL features, which a model takes for a fact: that nothing had happened."""
    without = exp.select(exp.Count(this=exp.Star())).from_(_requests()).where(column(MOMENT).is_(exp.null()))
    [(count,)] = scratch.rows(without.sql("duckdb"))
    if count:
        raise BridgeError(
            "G554",
            f"{count:,} row{'s' if count > 1 else ''} of the spine have no {time_column!r}, and so no features",
            hint="give each a time, or leave them out of the spine",
        )


# --- served -----------------------------------------------------------------------------------------------------


def served_sql(source: Source, chosen: Sequence[Chosen], repeated: Iterable[str] = ()) -> str:
    """One query: the newest row of each view's table at or before each moment, if it is not older than the `ttl`.

    Tables of the views in `repeated` may hold several rows of one moment, of which the one made last counts.
    """
    query = exp.select().from_(exp.alias_(_requests(), "requests", table=True))
    moment = column(MOMENT, "requests")
    for each in chosen:
        view = each.view.view
        table: exp.Expr = exp.maybe_parse(source.relations[view.name], into=exp.Table, dialect="duckdb")
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
            query = query.select(exp.alias_(value, identifier(name)), copy=False)
    return query.order_by(column(ROW, "requests"), copy=False).sql("duckdb", pretty=True)


def _repeated(scratch: "Scratch", source: Source, chosen: Sequence[Chosen]) -> list[str]:
    """The views whose tables were not made all at once: only there can one moment have rows of several runs."""
    found = []
    for each in chosen:
        ends = exp.NEQ(this=exp.Min(this=column(CREATED)), expression=exp.Max(this=column(CREATED)))
        [(several,)] = scratch.rows(f"SELECT {ends.sql('duckdb')} FROM {source.relations[each.view.name]}")
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


def exact_query(each: Chosen, types: Mapping[str, str]) -> FeatureQuery:
    """What is taken of a view, as the compiler takes it."""
    by_name = {column.name: column for column in each.view.columns}
    sql = {name: TYPES[type_].sql for name, type_ in types.items()}
    return feature_query(each.view.view, [by_name[name] for name in each.columns], None, sql)


def _exact(scratch: "Scratch", source: Source, chosen: Sequence[Chosen]) -> str:
    """Make a table of each view's features, and the query that brings them together."""
    query = exp.select().from_(exp.alias_(_requests(), "requests", table=True))
    [(asked,)] = scratch.rows(exp.select(exp.Count(this=exp.Star())).from_(_requests()).sql("duckdb"))
    for each in chosen:
        name = each.view.name
        plain = exact_query(each, source.types[name])
        summed = plan_parts(source.graph, plain)
        parts = scratch.describe(_sql(source, summed)) if summed else ()
        drifting = [part for part, type_ in parts if type_ in ("DOUBLE", "FLOAT")]
        made = scratch.make(
            f"exact_{name}", _sql(source, plan_requests(source.graph, plain, REQUESTS, drifting=drifting))
        )
        if made != asked:
            raise BridgeError(
                "G557",
                f"{made - asked:,} rows would come out twice: a dimension of {name} has two rows for one key",
                hint="`gemel validate --data` tells which keys are not unique",
                place=each.view.view.place,
            )
        table = exp.Table(this=identifier(f"exact_{name}"), db=identifier("main"), catalog=identifier("temp"))
        on = equal(column(ROW, "requests"), column(ROW, name))
        query = query.join(exp.alias_(table, name, table=True), on=on, join_type="left", copy=False)
        query = query.select(*(column(feature, name) for feature in each.columns), copy=False)
    return query.order_by(column(ROW, "requests"), copy=False).sql("duckdb")


def _sql(source: Source, plan: Plan) -> str:
    tables = dialects.named(source.catalogs | {"temp"})
    return dialects.speak(lowering.lower(rules.tidy(plan), tables), "duckdb")


def _requests() -> exp.Table:
    return dialects.named()(REQUESTS)


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


def _write(out: Path, kind: Format, schema: "pyarrow.Schema", batches: Iterator["pyarrow.RecordBatch"]) -> None:
    import pyarrow
    import pyarrow.parquet

    with _whole(out) as path:
        writer = (
            pyarrow.parquet.ParquetWriter(path, schema) if kind == "parquet" else pyarrow.ipc.new_file(path, schema)
        )
        with writer:
            for batch in batches:
                writer.write_batch(batch)


def _write_text(out: Path, text: str) -> None:
    with _whole(out) as path:
        Path(path).write_text(text, encoding="utf-8")


@contextmanager
def _whole(out: Path) -> Iterator[str]:
    """A file beside `out` that takes its place when it is complete: whoever is killed halfway leaves the old one."""
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        os.close(handle)
    except OSError as error:
        hint = "the folder has to be there, and writable"
        raise ProjectError("G606", f"cannot write {out}: {error.strerror}", hint=hint) from None
    try:
        yield name
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _manifest(
    source: Source,
    chosen: Sequence[Chosen],
    spine: Spine,
    schema: "pyarrow.Schema",
    *,
    accuracy: Accuracy,
    time_column: str,
) -> dict[str, Any]:
    """All that is needed to make the set again, and nothing that differs when it is."""
    return {
        "gemel": version("gemel"),
        "accuracy": accuracy,
        "rows": spine.rows,
        "spine": {"source": spine.told, "sha256": spine.sha256, "time_column": time_column},
        "features": [f"{each.view.name}.{name}" for each in chosen for name in each.columns],
        "definitions": {each.view.name: _definitions(source.graph, each) for each in chosen},
        "dbt": _invocation(source.artifacts),
        "columns": {field.name: str(field.type) for field in schema},
    }


def _definitions(graph: Graph, each: Chosen) -> dict[str, Any]:
    by_name = {column.name: column for column in each.view.columns}
    features = {name: digest(graph, each.view, by_name[name]) for name in each.columns}
    return {"table": digest(graph, each.view), "features": features}


def _invocation(artifacts: Path) -> dict[str, Any]:
    """The run of dbt that the tables' names are of."""
    metadata = json.loads((artifacts / "manifest.json").read_bytes()).get("metadata", {})
    return {name: metadata.get(name) for name in ("invocation_id", "dbt_version", "project_name")}
