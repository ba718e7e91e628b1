"""The dbt models for BI tools that the definitions of a project request."""

from collections.abc import Iterator

from gemel.bi.declared import read_declared
from gemel.bi.generation import Destination, ReservedNames, generate
from gemel.errors import GemelError, Problems
from gemel.session import Session
from gemel.spec.feature_views import FeatureSpec


def model_files(session: Session, features: FeatureSpec | None = None) -> dict[str, str]:
    """The dbt models that `gemel generate` writes for BI tools, as texts by path: exports and wide views.

    The names of `features` are reserved. Raises Problems (G70x).
    """
    return _files(session, features, _connected(session))


def check_models(session: Session, *, ask: bool) -> Iterator[GemelError]:
    """The errors of generating the models, except those of their queries. Without `ask`, only errors that need no
    warehouse."""
    try:
        _files(session, None, _connected(session) if ask else _unconnected(session))
    except Problems as problems:
        yield from (each for each in problems.errors if each.code.startswith(("G70", "G132", "G133")))


def count_models(session: Session) -> int:
    """The number of models that the definitions request."""
    declared = read_declared(session.dbt)
    return len(declared.views) + sum(len(query.exports) for query in declared.queries)


def _files(session: Session, features: FeatureSpec | None, destination: Destination) -> dict[str, str]:
    if session.dir is None or session.artifacts is None:
        return {}
    reserved = ReservedNames()
    if features is not None:
        reserved = ReservedNames(
            {view.name: "of a feature view" for view in features.views},
            {service.name: "of a feature service" for service in features.services},
        )
    with session.placing():
        return generate(session.graph, session.dbt, destination, root=session.dir, reserved=reserved)


def _connected(session: Session) -> Destination:
    try:
        runner = session.runner
        utc = runner.is_utc(session.profile_target())
        return Destination(session.engine, runner.describe, runner.catalogs(), is_utc=utc, roundings=runner.roundings)
    except GemelError:
        return _unconnected(session)


def _unconnected(session: Session) -> Destination:
    return Destination(session.engine)
