"""gemel list. A module named `list` would hide the builtin in its package."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gemel.cli.options import items_option, takes_project, takes_session
from gemel.cli.output import output_options, write_rows

if TYPE_CHECKING:
    from gemel.compiler.names.listing import Listed
    from gemel.project import Project
    from gemel.session import Session

_search = click.option("--search", metavar="TEXT", help="Only those that contain this text.")
_metrics = items_option("--metrics", "-m", help="Only what all of these metrics can be queried by.")


@click.group()
def command() -> None:
    """List metrics, dimensions, entities, dimension values, saved queries, feature views or services."""


@command.command()
@_search
@click.option("--show-all-dimensions", is_flag=True, help="Show the dimensions of each metric too.")
@output_options
@takes_project
def metrics(project: "Project", *, search: str | None, show_all_dimensions: bool, **output: Any) -> None:
    """List every metric and its description."""
    columns = ["metric", "type", "label", "description", *(["dimensions"] if show_all_dimensions else [])]
    rows: list[tuple[Any, ...]] = []
    for metric in project.metrics():
        dimensions = project.dimensions([metric.name]) if show_all_dimensions else ()
        names = [", ".join(each.name for each in dimensions)] if show_all_dimensions else []
        rows.append((metric.name, metric.type, metric.label, metric.description, *names))
    _show(columns, rows, search, output)


@command.command()
@_metrics
@_search
@output_options
@takes_project
def dimensions(project: "Project", *, metrics: tuple[str, ...], search: str | None, **output: Any) -> None:
    """List the dimensions that metrics can be grouped and filtered by."""
    listed = project.dimensions(metrics)
    rows = [(d.name, d.type, d.grain, _who_has(project, d, output), *_words(d)) for d in listed]
    _show(("dimension", "type", "grain", "metrics", "label", "description"), rows, search, output)


@command.command()
@_metrics
@_search
@output_options
@takes_project
def entities(project: "Project", *, metrics: tuple[str, ...], search: str | None, **output: Any) -> None:
    """List the entities that metrics are about, and that models join by."""
    rows = [(e.name, e.type, _who_has(project, e, output), *_words(e)) for e in project.entities(metrics)]
    _show(("entity", "type", "metrics", "label", "description"), rows, search, output)


@command.command("dimension-values")
@click.argument("name", required=False)
@click.option("--dimension", "-d", help="The dimension, such as `customer__region`, if it is not named first.")
@_metrics
@click.option("--start-time", metavar="TIME", help="Only values with rows from this time on, inclusive.")
@click.option("--end-time", metavar="TIME", help="Only values with rows up to this time, inclusive.")
@_search
@output_options
@takes_project
def dimension_values(
    project: "Project",
    *,
    name: str | None,
    dimension: str | None,
    metrics: tuple[str, ...],
    start_time: str | None,
    end_time: str | None,
    search: str | None,
    **output: Any,
) -> None:
    """List the distinct values of a dimension.

    \b
    gemel list dimension-values customer__region
    """
    if (name is None) == (dimension is None):
        raise click.UsageError("name one dimension, such as customer__region; see `gemel list dimensions`")
    dimension = name or dimension or ""
    values = project.dimension_values(dimension, metrics, start_time=start_time, end_time=end_time)
    _show((dimension,), [(value,) for value in values], search, output)


@command.command("saved-queries")
@_search
@click.option("--show-exports", is_flag=True, help="Show the exports of each saved query too.")
@click.option("--show-parameters", is_flag=True, help="Show the filters, order and limit of each saved query too.")
@output_options
@takes_project
def saved_queries(
    project: "Project", *, search: str | None, show_exports: bool, show_parameters: bool, **output: Any
) -> None:
    """List every saved query and its content."""
    columns = ["saved query", "metrics", "group by", "label", "description"]
    columns += ["exports"] if show_exports else []
    columns += ["where", "order", "limit"] if show_parameters else []
    rows = []
    for query in project.saved_queries():
        row = [query.name, ", ".join(query.metrics), ", ".join(query.group_by), query.label, query.description]
        row += [", ".join(f"{each.name} ({each.kind})" for each in query.exports)] if show_exports else []
        limit = None if query.limit is None else str(query.limit)
        row += [" AND ".join(query.where), ", ".join(query.order_by), limit] if show_parameters else []
        rows.append(tuple(row))
    _show(columns, rows, search, output)


@command.command("feature-views")
@_search
@output_options
@takes_session
def feature_views(session: "Session", *, search: str | None, **output: Any) -> None:
    """List every feature view: its entities, schedule, `known_at` and features."""
    from gemel.features.opened import bound_features

    features = bound_features(session)
    rows = [
        (
            bound.name,
            ", ".join(bound.entities),
            bound.schedule,
            bound.known_at,
            ", ".join(bound.declared_names),
            bound.description,
        )
        for bound in features.views
    ]
    entities = {bound.name: bound.entities for bound in features.views}
    rows += [
        (
            bound.name,
            ", ".join(dict.fromkeys(entity for source, _ in bound.sources for entity in entities[source])),
            "on demand",
            None,
            ", ".join(bound.feature_names),
            bound.description,
        )
        for bound in features.on_demand
    ]
    _show(("feature view", "entity", "schedule", "known at", "features", "description"), rows, search, output)


@command.command("feature-services")
@_search
@output_options
@takes_session
def feature_services(session: "Session", *, search: str | None, **output: Any) -> None:
    """List every feature service, and the features that it takes from each view."""
    from gemel.features.opened import bound_features

    rows = [
        (
            bound.name,
            ", ".join(
                view.name if names is None else f"{view.name}.{name}"
                for view, names in bound.selected
                for name in names or ("",)
            ),
            bound.owner,
            bound.description,
        )
        for bound in bound_features(session).services
    ]
    _show(("feature service", "features", "owner", "description"), rows, search, output)


def _who_has(project: "Project", listed: "Listed", output: dict[str, Any]) -> str:
    """The metrics that an item can be asked with; in a table, the first of many."""
    names = listed.metrics
    if output["format"] != "table" or output["csv"] or len(names) <= 3:
        return ", ".join(names)
    everything = len(names) == len(project.metrics())
    return f"all {len(names)}" if everything else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _words(listed: "Listed") -> tuple[str | None, str | None]:
    return listed.label, listed.description


def _show(columns: Sequence[str], rows: Iterable[tuple[Any, ...]], search: str | None, output: dict[str, Any]) -> None:
    """Write the rows that contain the text. In a table, a missing value is blank, and a blank column is omitted."""
    matches = [row for row in rows if not search or any(search.lower() in str(cell).lower() for cell in row)]
    if output["format"] == "table" and len(columns) > 1:
        matches = [tuple("" if cell is None else cell for cell in row) for row in matches]
    filled = [i for i in range(len(columns)) if output["format"] != "table" or i == 0 or any(row[i] for row in matches)]
    picked = [tuple(row[i] for i in filled) for row in matches]
    write_rows([columns[i] for i in filled], picked, **output)
