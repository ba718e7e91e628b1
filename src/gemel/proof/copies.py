"""Feature tables against the Parquet copies that Feast reads."""

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.question.expressions import column as sql_column
from gemel.errors import BridgeError
from gemel.features.tables import DATA
from gemel.proof.places import FeatureTable
from gemel.proof.report import Report
from gemel.proof.sameness import kind

MOST_ROWS = 10_000  # that differ from the copy; beyond that, the report only says how many


def compare_copy(table: FeatureTable, report: Report) -> None:
    """Compare every row of a table with its row in the Parquet copy."""
    path = table.places.root / DATA / f"{table.name}.parquet"
    if not path.is_file():
        raise BridgeError(
            "G533", f"the table of {table.name!r} has no Parquet copy at {path}", hint="`dbt build` writes it"
        )
    keys = (*table.keys, MOMENT)
    names = table.view.feature_names
    copy = exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[exp.Literal.string(str(path))]))
    both = {"t": exp.alias_(table.relation.copy(), "t", table=True), "f": exp.alias_(copy, "f", table=True)}
    same = [exp.EQ(this=sql_column(key, "t"), expression=sql_column(key, "f")) for key in keys]
    differ = [exp.NullSafeNEQ(this=sql_column(name, "t"), expression=sql_column(name, "f")) for name in (*keys, *names)]
    query = (
        exp.select(*(exp.alias_(sql_column(name, side), f"{side}_{name}") for side in "tf" for name in (*keys, *names)))
        .from_(both["t"])
        .join(both["f"], on=exp.and_(*same), join_type="full")
        .where(exp.or_(*differ))
        .limit(MOST_ROWS)
    )
    rows = table.places.run_with_files(compile_select(query, table.places.engine.dialect))
    for row in rows:
        left, right = row[: len(row) // 2], row[len(row) // 2 :]
        present = left if left[len(table.keys)] is not None else right
        entity, moment = dict(zip(table.keys, present, strict=False)), present[len(table.keys)]
        for name, in_table, in_file in zip(names, left[len(keys) :], right[len(keys) :], strict=True):
            if in_table != in_file:
                values = {"table": in_table, "copy": in_file}
                report.differs(kind(in_table, in_file), table.name, name, entity, moment, values)
    for relation, what in ((table.relation, "the table"), (copy, "the Parquet copy")):
        _report_duplicates(table, relation, f"{what} of {table.name}", report)
    if len(rows) == MOST_ROWS:
        report.reasons.append(f"the Parquet copy of {table.name} differs from the table in {MOST_ROWS:,} rows or more")


def _report_duplicates(table: FeatureTable, relation: exp.Expr, name: str, report: Report) -> None:
    """Report two rows of one entity and moment: chance decides which is joined to a label or goes online."""
    keys = [sql_column(key) for key in (*table.keys, MOMENT)]
    rows = exp.Count(this=exp.Star())
    query = exp.select(*keys, rows).from_(relation.copy()).group_by(*keys)
    query = query.having(exp.GT(this=rows.copy(), expression=exp.Literal.number(1))).limit(1)
    for *entity, moment, count in table.places.run_with_files(compile_select(query, table.places.engine.dialect)):
        who = ", ".join(f"{key}={value}" for key, value in zip(table.keys, entity, strict=True))
        report.reasons.append(f"{name} has {count} rows for {who} at {moment:%Y-%m-%d %H:%M}")
