"""A project's definitions in another tool's format."""

from collections.abc import Sequence
from pathlib import Path

from gemel.bi.declared import read_declared
from gemel.bi.exports import formats
from gemel.bi.exports.exported import Exported, Source, View, refusals
from gemel.compiler.compiled import Compiled
from gemel.dbt.semantic.definitions import Definitions, read_definitions
from gemel.dbt.semantic.models import parse_relation
from gemel.engines.duckdb import uri_of
from gemel.errors import FormatError, GemelError, Problems
from gemel.session import Session


def export(session: Session, format: str, metrics: Sequence[str], *, uri: str | None = None) -> Exported:
    """The definitions in a format. Raises Problems (G720) for metrics that would have another number there, and the
    errors of `export_what_can_be`."""
    exported = export_what_can_be(session, format, metrics, uri=uri)
    if exported.refused:
        with session.placing():
            raise Problems(refusals(exported))
    return exported


def export_what_can_be(session: Session, format: str, metrics: Sequence[str], *, uri: str | None = None) -> Exported:
    """As `export`, without the metrics that the format cannot express: `refused` has those, with the reasons.

    `uri` is the address of the warehouse for Superset, by default from the profile. Raises FormatError (G721, G722,
    G726).
    """
    with session.placing():
        source = Source(
            session.graph,
            session.name,
            session.dialect,
            lambda: _definitions(session),
            lambda select: _types(session, select),
            lambda: uri or _uri(session),
            _wide_views(session),
        )
        return formats.export(format, source, metrics)


def _wide_views(session: Session) -> dict[str, View]:
    """The declared wide views that are in dbt's manifest, by semantic model."""
    named = [(view, session.dbt.relation_name(view.export.name)) for view in read_declared(session.dbt).views]
    return {view.model: View(parse_relation(name), view.hops) for view, name in named if name}


def _definitions(session: Session) -> Definitions:
    """The definitions in dbt's YAML."""
    assert session.file is not None
    return read_definitions(session.file, session.dbt)


def _types(session: Session, select: Compiled) -> dict[str, str]:
    """The columns of a SELECT with their DuckDB types; empty without a warehouse."""
    try:
        return dict(session.runner.describe(select))
    except GemelError:
        return {}


def _uri(session: Session) -> str:
    """The SQLAlchemy URI of the warehouse, without a password."""
    if isinstance(session.database, str | Path):
        return uri_of(Path(session.database).resolve())
    target, uri = session.profile_target(), session.engine.uri
    if target is not None and session.dir is not None and uri is not None:
        return uri(target, session.dir)
    raise FormatError("G726", "the profile has no address of the warehouse for Superset", hint="pass it with --uri")
