"""The dbt models for BI tools that a project's definitions ask for."""

from collections.abc import Iterator

from gemel.bi.declared import read_declared
from gemel.bi.generation import Destination, Taken, generate
from gemel.errors import GemelError, Problems
from gemel.session import Session
from gemel.spec.feature_views import FeatureSpec


def model_files(session: Session, features: FeatureSpec | None = None) -> dict[str, str]:
    """What `gemel generate` writes for BI tools, as texts by path: saved queries' exports and wide views as dbt models.

    The names of `features` are taken. Raises Problems (G70x).
    """
    return _files(session, features, _asked(session))


def unfit_models(session: Session, *, ask: bool) -> Iterator[GemelError]:
    """What keeps the models from being generated, besides what is wrong with their questions. Without `ask`, as far as
    it is seen without the warehouse."""
    try:
        _files(session, None, _asked(session) if ask else _unasked(session))
    except Problems as problems:
        yield from (each for each in problems.errors if each.code.startswith("G70"))


def count_models(session: Session) -> int:
    """How many models the definitions ask for."""
    declared = read_declared(session.dbt)
    return len(declared.views) + sum(len(query.exports) for query in declared.queries)


def _files(session: Session, features: FeatureSpec | None, destination: Destination) -> dict[str, str]:
    if session.dir is None or session.artifacts is None:
        return {}
    taken = Taken()
    if features is not None:
        taken = Taken(
            {view.name: "a feature view's" for view in features.views},
            {service.name: "a feature service's" for service in features.services},
        )
    with session.placing():
        return generate(session.graph, session.dbt, destination, root=session.dir, taken=taken)


def _asked(session: Session) -> Destination:
    try:
        runner = session.runner
        utc = runner.is_utc(session.profile_target())
        return Destination(session.engine, runner.describe, runner.catalogs(), is_utc=utc)
    except GemelError:
        return _unasked(session)


def _unasked(session: Session) -> Destination:
    return Destination(session.engine)
