"""All findings about a project's definitions, its features, and the tables that they name."""

from collections.abc import Iterator

from gemel import checks
from gemel.bi.project_models import check_models
from gemel.checks.missing import find_virtual
from gemel.dbt.profile import NoProfileError
from gemel.errors import GemelError, Problems
from gemel.expectations.outcomes import check_tests
from gemel.features.built import check_infinities, check_types
from gemel.features.opened import bound_features, open_features
from gemel.run import Runner
from gemel.session import UNREACHABLE, Session
from gemel.spec.metric_tests import read_metric_tests, report_lost_metric_tests


def validate(session: Session, *, skip_dw: bool = False, data: bool = False) -> tuple[GemelError, ...]:
    """All findings, sorted by place. Each has a `severity`; only an error keeps a definition from working.

    With `skip_dw` the warehouse is not queried; with `data` rows are read too: whether keys are unique.
    """
    findings = [*session.problems, *session.ignored, *(session.places.report_duplicates() if session.places else ())]
    # If a semantic model could not be read, everything that leads to it would seem to lead nowhere.
    if all(each.about and each.about.kind in ("metric", "saved_query") for each in session.problems):
        try:
            for each in _find_problems(session, skip_dw=skip_dw, data=data):
                findings.append(each)
        except Problems as problems:
            findings += problems.errors
        except GemelError as problem:
            findings.append(problem)
    tests, unread = read_metric_tests(session.manifest.metrics)
    # The tests of a broken metric would repeat its error.
    if tests and all(each.severity != "error" or each.code in UNREACHABLE for each in findings):
        reachable = not skip_dw and not any(each.code in UNREACHABLE for each in findings)
        findings += check_tests(session.graph, tests, session.runner if reachable else None)
    findings += (*unread, *(report_lost_metric_tests(session.places) if session.places else ()))
    for each in findings:
        session.add_place(each)
    distinct = {(each.code, each.message, each.about, each.place): each for each in reversed(findings)}
    return tuple(sorted(distinct.values(), key=_by_place))


def _find_problems(session: Session, *, skip_dw: bool, data: bool) -> Iterator[GemelError]:
    """The findings of all checks. Raises a GemelError that makes further checks impossible."""
    warehouse: Runner | None = None
    if session.places is not None:
        yield from checks.check_yaml(session.graph, session.places)
    if not skip_dw:
        try:
            session.runner.check_connection()
            warehouse = session.runner
        except GemelError as unreachable:
            if session.compiles_only or isinstance(unreachable, NoProfileError):
                unreachable.severity = "warning"  # the definitions are checked all the same
            yield unreachable
    if warehouse is None:
        yield from find_virtual(session.graph, session.dbt)
        yield from checks.check(session.graph)
    elif data:
        yield from checks.check_rows(session.graph, warehouse, session.dbt)
    else:
        yield from checks.check_tables(session.graph, warehouse, session.dbt)
    if not session.problems:
        yield from check_models(session, ask=warehouse is not None)
        bound = bound_features(session)
        yield from bound.warnings
        if bound.views and warehouse is not None:
            features = open_features(session)
            yield from check_types(features)
            yield from check_infinities(features) if data else ()


def _by_place(error: GemelError) -> tuple[object, ...]:
    """A sort key: errors without a place come last."""
    place = error.place
    return (place is None, *((place.file, place.line or 0, place.column or 0) if place else ()), error.code, str(error))
