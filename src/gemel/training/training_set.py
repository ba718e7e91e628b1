"""A training set: each row of a spine, exactly once, with its features as they were at its moment.

*served* is what an online store would have answered: the newest row of the feature table at or before the moment.
*exact* is the metric over the window that ends at the moment itself, computed from the facts.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.features.streams import ROW
from gemel.compiler.question.expressions import column, identifier
from gemel.data_frames import data_frame
from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError
from gemel.features.selection import Choice
from gemel.features.types import TYPES
from gemel.on_demand.computing import Computed, compute
from gemel.on_demand.sql import normalize, sql_of
from gemel.on_demand.terms import Reference
from gemel.progress import task
from gemel.run import OpenScratch, ScratchRunner
from gemel.temporary import temporary_folder
from gemel.training.exact import compute_exact
from gemel.training.manifests import describe_set
from gemel.training.served import join_served
from gemel.training.source import REQUESTS, Source, requests_table
from gemel.training.spine import Spine, check_columns, file_hash, read_spine, requests_of
from gemel.whole_files import write_rows, write_text

if TYPE_CHECKING:
    import pyarrow


Accuracy = Literal["served", "exact"]
Format = Literal["parquet", "arrow"]
FORMATS: dict[str, Format] = {".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow"}


class TrainingSet:
    """The `manifest` and the rows of a training set; the rows are in `path` if they were written."""

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
        return data_frame(self.arrow())


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
    with temporary_folder() as folder, open_scratch(folder) as scratch:
        texts = [name for name, type_ in (keys | inputs).items() if type_ == "string"]
        rows = read_spine(spine, scratch, temp=folder, texts=texts)
        check_columns(rows, keys, inputs, owners, time_column=time_column)
        scratch.take(REQUESTS.name, requests_of(rows, keys, inputs, time_column=time_column))
        _check_times(scratch, time_column)
        match accuracy:
            case "served":
                joined = join_served(scratch, source, chosen, inputs)
            case "exact":
                joined = compute_exact(scratch, source, chosen, inputs)
            case _:
                assert_never(accuracy)
        schema, features = scratch.stream(
            compile_select(_answer(joined, choice, computed), scratch.dialect), size=64 * 2048
        )
        columns = _widened(rows.schema, schema, {name: each.json() for name, each in source.builds.items()})
        batches = _side_by_side(rows, features, columns)
        table = None
        if out is None:
            import pyarrow

            table = pyarrow.Table.from_batches(batches, columns)
        else:
            write_rows(out, kind, columns, batches)
    manifest = describe_set(source, choice, computed, rows, columns, accuracy=accuracy, time_column=time_column)
    if out is not None:
        manifest |= {"format": kind, "sha256": file_hash(out)}
        write_text(manifest_path(out), json.dumps(manifest, indent=2) + "\n")
    return TrainingSet(manifest, path=out, table=table)


def manifest_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.manifest.json")


def _format(out: Path | None, format: Format | None) -> Format:
    if out is not None and out.is_dir():
        raise BridgeError("G558", f"{out} is a directory", hint="name a file")
    kind = format or FORMATS.get(out.suffix.lower() if out else ".parquet")
    if kind is None or kind not in FORMATS.values():
        raise BridgeError(
            "G558", f"{format or (out and out.name)!r} is not a format of a training set", hint="parquet or arrow"
        )
    return kind


def _check_times(scratch: ScratchRunner, time_column: str) -> None:
    """Refuse rows without a time: they would get NULL features, which a model would read as that nothing happened."""
    without = exp.select(exp.Count(this=exp.Star())).from_(requests_table()).where(column(MOMENT).is_(exp.null()))
    [(count,)] = scratch.rows(compile_select(without, scratch.dialect))
    if count:
        raise BridgeError(
            "G554",
            f"{count:,} row{'s' if count > 1 else ''} of the spine have no {time_column!r}, and so no features",
            hint="give each row a time, or omit it from the spine",
        )


def _answer(joined: exp.Select, choice: Choice, computed: Sequence[Computed]) -> exp.Select:
    """The requested features in the order of the spine, from a query with everything they need."""
    query = exp.select().from_(joined.subquery("joined"))
    for each in choice.tables:
        features = (exp.alias_(column(f"{each.view.name}.{name}", "joined"), identifier(name)) for name in each.columns)
        query = query.select(*features, copy=False)
    for view, (_, names) in zip(computed, choice.on_demand, strict=True):
        values = ((name, sql_of(view.terms[name], _input), TYPES[view.terms[name].type].sql) for name in names)
        query = query.select(*(exp.alias_(exp.cast(v, t, dialect=DIALECT), identifier(n)) for n, v, t in values))
    return query.order_by(column(ROW, "joined"), copy=False)


def _input(reference: Reference) -> exp.Expr:
    return normalize(column(reference.name, "joined"), reference.type)


def _widened(spine: "pyarrow.Schema", features: "pyarrow.Schema", builds: dict[str, Any]) -> "pyarrow.Schema":
    """The columns of both, with what built the features' tables in the metadata."""
    import pyarrow

    metadata = {**(spine.metadata or {}), **({b"gemel_builds": json.dumps(builds).encode()} if builds else {})}
    return pyarrow.schema([*spine, *features], metadata=metadata or None)


def _side_by_side(
    spine: Spine, features: Iterator["pyarrow.RecordBatch"], schema: "pyarrow.Schema"
) -> Iterator["pyarrow.RecordBatch"]:
    """The spine's batches, each joined with its rows of features."""
    import pyarrow

    waiting: list[pyarrow.RecordBatch] = []
    with task("rows", spine.rows) as current:
        for batch in spine.read(spine.schema.names):
            while sum(part.num_rows for part in waiting) < batch.num_rows:
                waiting.append(next(features))
            beside = pyarrow.Table.from_batches(waiting).combine_chunks()
            waiting = beside.slice(batch.num_rows).to_batches()
            values = [each.chunk(0) for each in beside.slice(0, batch.num_rows).columns]
            yield pyarrow.record_batch([*batch.columns, *values], schema=schema)
            current.done += batch.num_rows
    assert not any(part.num_rows for part in waiting)
    assert next(features, None) is None
