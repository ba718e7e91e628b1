"""The catalogue of a project: a page for each node of its lineage, with its definition and links."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gemel.catalogue.content import Address, Code, Content, Link, Numbers, Page, Value
from gemel.catalogue.series import Series
from gemel.errors import About, GemelError
from gemel.expectations.suite import metric_tests
from gemel.features.opened import bound_features
from gemel.files import models_folder
from gemel.graph.building import read_graph
from gemel.graph.nodes import TABLES, Node, Part
from gemel.spec.feature_views import DimensionFeature, MetricFeature
from gemel.spec.manifest import Dimension, Entity, SavedQuery, SemanticModel
from gemel.spec.metric_tests import MetricTest
from gemel.spec.metrics import Measure, Metric, MetricInput, Sql

if TYPE_CHECKING:
    from gemel.features.bound import BoundView
    from gemel.project import Project

Fact = tuple[str, Value]


def gather(project: "Project", numbers: Numbers) -> Content:
    """Every definition, and all tables and columns upstream of one. Raises Problems (G5xx)."""
    lineage = project.session.once(read_graph)
    defined = lineage.upstream(*lineage.definitions.nodes.values())
    upstream = _tables(defined)
    tables = {name: lineage.node(id) for name, id in lineage.tables.ids().items() if name in upstream}
    whole = lineage.upstream(*lineage.definitions.nodes.values(), *tables.values())
    nodes = tuple(sorted((node for node in whole.nodes if node.kind != "rows"), key=lambda node: node.name))
    pages = Pages(project, numbers, nodes)
    name = project.session.name if project.session.dir else "Catalogue"
    return Content(name, nodes, _edges(whole, tables), {node.id: pages.of(node) for node in nodes}, whole.gaps)


def _tables(part: Part) -> set[str]:
    """The names of the tables whose rows or columns are in the part."""
    rows = {node.name for node in part.nodes if node.kind in ("rows", *TABLES)}
    return rows | {node.name.rpartition(".")[0] for node in part.nodes if node.kind == "column"}


def _edges(part: Part, tables: Mapping[str, Node]) -> tuple[tuple[str, str, bool], ...]:
    """The edges between pages, where the rows of a table are part of the table."""

    def shown(id: str) -> str:
        kind, _, name = id.partition(":")
        return tables[name].id if kind == "rows" and name in tables else id

    ids = {node.id for node in part.nodes}
    direct: dict[tuple[str, str], bool] = {}
    for edge in part.edges:
        ends = (shown(edge.source), shown(edge.target))
        if ends[0] != ends[1] and ids.issuperset(ends):
            direct[ends] = direct.get(ends, False) or edge.direct
    return tuple((source, target, is_direct) for (source, target), is_direct in direct.items())


class Pages:
    """The pages of the nodes of a project. Shared data is looked up once."""

    def __init__(self, project: "Project", numbers: Numbers, nodes: Iterable[Node]) -> None:
        self._project = project
        self._graph = project.session.graph
        self._numbers = numbers
        self._ids = frozenset(node.id for node in nodes)
        self._columns: dict[str, list[str]] = {}
        self._tables: dict[str, str] = {}
        for node in nodes:
            if node.kind == "column":
                self._columns.setdefault(node.name.rpartition(".")[0], []).append(node.id)
            elif node.kind in TABLES:
                self._tables[node.name] = node.id
        features = bound_features(project.session)
        self._views = {view.name: view for view in features.views}
        self._on_demand = {view.name: view for view in features.on_demand}
        self._services = {service.name: service for service in features.services}
        self._measures = {measure.name: measure for measure in self._graph.manifest.measures}
        self._tests: dict[str, list[MetricTest]] = {}
        for test in project.session.once(metric_tests):
            self._tests.setdefault(test.metric, []).append(test)
        names = project.session.once(read_graph).definitions.weak
        self._dimensions: dict[str, tuple[SemanticModel, Dimension]] = {}
        self._dimension_ids: dict[tuple[str, str], str] = {}
        for model in self._graph.models.values():
            for dimension in model.dimensions:
                for id in names.get(f"{model.name}.{dimension.name}", ()):
                    if id.startswith("dimension:"):
                        self._dimensions[id] = (model, dimension)
                        self._dimension_ids[model.name, dimension.name] = id

    def of(self, node: Node) -> Page:
        """The page of a node, without its name, its description and its lineage."""
        page = self._page(node)
        owner: list[Fact] = [("Owner", node.owner)] if node.owner else []
        file: list[Fact] = (
            [("Defined in", Code(node.file))] if node.file and "Defined in" not in dict(page.facts) else []
        )
        return replace(page, facts=(*owner, *page.facts, *file))

    def _page(self, node: Node) -> Page:
        match node.kind:
            case "metric":
                return self._metric(self._graph.metrics[node.name])
            case "measure":
                return self._measure(node.name)
            case "dimension":
                return self._dimension(node.id)
            case "entity":
                return self._entity(node.name)
            case "saved_query":
                return self._saved_query(self._graph.saved_queries[node.name])
            case "feature_view" if node.name in self._views:
                return self._feature_view(self._views[node.name])
            case "feature":
                return self._feature(node.name)
            case "feature_service":
                return self._feature_service(node.name)
            case "bi_view":
                return Page(sql=self._sql_of("bi", node.name), sql_title="The dbt model")
            case "column":
                return Page(facts=self._table_of(node.name))
            case "exposure":
                return Page(facts=(("Address", Address(node.url)),) if node.url else ())
            case _:
                return Page(lists=_lists(("Columns", self._columns.get(node.name, ()))))

    def _metric(self, metric: Metric) -> Page:
        series = self._numbers.series.get(metric.name)
        facts: list[Fact] = [
            ("Type", metric.type),
            *((title, self._value(value)) for title, value in metric.definition.facts),
        ]
        facts += [("Filter", Code(text)) for text in metric.filters]
        facts += [("Test", _describe_test(test)) for test in self._tests.get(metric.name, ())]
        facts += self._place(About("metric", metric.name))
        if isinstance(series, Series):
            days = [day for day, value in series.points if value is not None]
            facts += [("Newest facts", f"in the {series.grain} of {days[-1]}")] if days else []
        grain = series.grain if isinstance(series, Series) else None
        time = f"metric_time__{grain}" if grain else "metric_time"
        try:
            sql, title = self._project.query([metric.name], [time]).sql, f"SQL by {grain or 'time'}"
        except GemelError as error:
            sql, title = None, error.message
        return Page(metric.label, tuple(facts), (), sql, title, series, self._groups_of(metric))

    def _value(self, value: str | Measure | MetricInput | tuple[MetricInput, ...]) -> Value:
        match value:
            case Measure(name=name):
                return self._link(f"measure:{name}")
            case MetricInput():
                return self._input(value)
            case tuple():
                return tuple(map(self._input, value))
            case Sql():
                return Code(value)
            case str():
                return value

    def _input(self, used: MetricInput) -> Value:
        metric = self._graph.metrics.get(used.name)
        measure = metric.bare_measure if metric else None
        link = self._link(f"measure:{measure.name}" if measure else f"metric:{used.name}")
        words = [f"as {used.alias}"] if used.alias else []
        words += [f"{used.offset_window} before"] if used.offset_window else []
        words += [f"at the start of the {used.offset_to_grain}"] if used.offset_to_grain else []
        words += [f"where {text}" for text in used.filters]
        return (link, *words) if words else link

    def _groups_of(self, metric: Metric) -> tuple[tuple[str, str], ...]:
        """The dimensions that all facts of the metric can be grouped by, the nearest first."""
        common = self._graph.common_attributes(measure.model for measure in self._graph.measures(metric))
        dimensions = {path: each for path, each in common.items() if isinstance(each.element, Dimension)}
        ids = {path: self._dimension_ids.get((each.model, each.element.name)) for path, each in dimensions.items()}
        return tuple(("__".join(path), id) for path, id in ids.items() if id)

    def _measure(self, name: str) -> Page:
        measure = self._measures[name]
        model = self._graph.models[measure.model]
        time = self._dimension_ids.get((measure.model, measure.time_dimension))
        facts: list[Fact] = [
            ("Expression", Code(measure.aggregate)),
            ("Semantic model", model.name),
            ("Table", self._table(model)),
            ("Time", Link(time) if time else measure.time_dimension),
        ]
        if measure.non_additive:
            which = "latest" if measure.non_additive.choice == "max" else "earliest"
            facts.append(("Non-additive over", f"{measure.non_additive.dimension}: only the {which} counts"))
        return Page(measure.label, (*facts, *self._place(About("semantic_model", model.name, measure.name))))

    def _dimension(self, id: str) -> Page:
        model, dimension = self._dimensions[id]
        facts: list[Fact] = [("Type", f"time, by {dimension.grain}" if dimension.is_time else "categorical")]
        facts += [("Expression", Code(dimension.expr)), ("Semantic model", model.name), ("Table", self._table(model))]
        if dimension.validity:
            facts.append(("Validity", f"the {dimension.validity} of the time in which a row is valid"))
        return Page(dimension.label, (*facts, *self._place(About("semantic_model", model.name, dimension.name))))

    def _entity(self, name: str) -> Page:
        model = self._graph.models[name.rpartition(".")[0]]
        entity: Entity = next(each for each in model.entities if each.name == name.rpartition(".")[2])
        others = [
            f"entity:{each.name}.{entity.name}" for each in self._graph.models.values() if each.name != model.name
        ]
        facts: list[Fact] = [
            ("Type", f"{entity.type} key"),
            ("Expression", Code(entity.expr)),
            ("Semantic model", model.name),
        ]
        facts += [("Table", self._table(model)), *self._place(About("semantic_model", model.name, entity.name))]
        return Page(entity.label, tuple(facts), _lists(("The same entity in other models", self._existing(others))))

    def _saved_query(self, query: SavedQuery) -> Page:
        facts: list[Fact] = [("Metrics", tuple(self._link(f"metric:{name}") for name in query.metrics))]
        facts += [("Group by", Code(", ".join(query.group_by)))] if query.group_by else []
        facts += [("Where", Code(text)) for text in query.where]
        facts += [("Order", Code(", ".join(query.order_by)))] if query.order_by else []
        facts += [("Limit", f"{query.limit:,}")] if query.limit is not None else []
        for export in query.exports:
            place = ".".join(part for part in (export.database, export.schema, export.alias or export.name) if part)
            facts.append(("Export", f"{export.kind} {place}"))
        facts += self._place(About("saved_query", query.name))
        try:
            sql = self._project.query(saved_query=query.name).sql
        except GemelError:
            sql = None
        return Page(query.label, tuple(facts), sql=sql)

    def _feature_view(self, view: "BoundView") -> Page:
        facts: list[Fact] = [
            ("Entities", ", ".join(view.entities)),
            ("Rows", f"one for each {view.schedule}"),
            *([("Facts known at", Code(view.known_at))] if view.known_at else []),
            *([("Delay", str(view.delay))] if view.delay else []),
            *([("Values expire after", str(view.ttl))] if view.ttl else []),
            *([("Lookback for late facts", str(view.lookback))] if view.lookback else []),
            *([("Maximum age of the newest row", str(view.freshness))] if view.freshness else []),
            ("Online", "yes" if view.online else "no"),
            *([("Push source", view.push)] if view.push else []),
            *([("Tags", ", ".join(f"{key}: {value}" for key, value in view.tags))] if view.tags else []),
        ]
        newest = self._numbers.newest.get(view.name)
        facts += [("Newest row", f"{newest:%Y-%m-%d %H:%M} UTC")] if newest else []
        facts += [("Defined in", Code(str(view.place)))] if view.place else []
        features = [f"feature:{view.name}.{each}" for each in view.feature_names]
        return Page(
            None,
            tuple(facts),
            _lists(("Features", self._existing(features))),
            self._sql_of("features", view.name),
            "The dbt model",
        )

    def _feature(self, name: str) -> Page:
        view, _, feature = name.partition(".")
        facts: list[Fact] = [("Feature view", self._link(f"feature_view:{view}"))]
        if view in self._on_demand:
            expressions = dict((each.name, each) for each, _ in self._on_demand[view].expressions())
            return Page(None, (*facts, ("Expression", Code(expressions[feature].expr)), ("Computed", "on request")))
        definition = next(each for each in self._views[view].features if each.name == feature)
        match definition:
            case MetricFeature():
                own = "that of the metric" if definition.own else "all time up to the moment"
                facts.append(("Metric", self._link(f"metric:{definition.metric}")))
                facts += [("Part", definition.part)] if definition.part else []
                facts.append(("Window", f"the {definition.window} before the moment" if definition.window else own))
            case DimensionFeature():
                facts.append(("Dimension", definition.dimension))
                facts.append(("As of", "now" if definition.current else "the moment"))
        facts += [("Type", definition.dtype)] if definition.dtype else []
        facts += [("Defined in", Code(str(definition.place)))] if definition.place else []
        return Page(None, tuple(facts))

    def _feature_service(self, name: str) -> Page:
        service = self._services[name]
        facts: list[Fact] = (
            [("Tags", ", ".join(f"{key}: {value}" for key, value in service.tags))] if service.tags else []
        )
        facts += [("Defined in", Code(str(service.place)))] if service.place else []
        return Page(None, tuple(facts))

    def _table_of(self, column: str) -> tuple[Fact, ...]:
        table = column.rpartition(".")[0]
        return (("Table", Link(self._tables[table])),) if table in self._tables else (("Table", table),)

    def _table(self, model: SemanticModel) -> Value:
        node = self._project.session.dbt.node_at(model.relation)
        name = node.unique_name if node else model.relation.name
        return Link(self._tables[name]) if name in self._tables else name

    def _sql_of(self, folder: str, model: str) -> str | None:
        """The generated dbt model in `models/<folder>`; None if there is none."""
        root = self._project.session.dir
        file = root / models_folder(root, folder) / f"{model}.sql" if root else None
        return file.read_text(encoding="utf-8") if file and file.is_file() else None

    def _link(self, id: str) -> Value:
        return Link(id) if id in self._ids else id.partition(":")[2]

    def _existing(self, ids: Iterable[str]) -> list[str]:
        return [id for id in dict.fromkeys(ids) if id in self._ids]

    def _place(self, about: About) -> list[Fact]:
        place = self._project.session.place(about)
        return [("Defined in", Code(f"{place.file}:{place.line}"))] if place else []


def _describe_test(test: MetricTest) -> Value:
    words = test.name.replace("_", " ")
    return f"{words}: {test.description}" if test.description else words


def _lists(*lists: tuple[str, Iterable[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((title, tuple(ids)) for title, ids in lists if ids)
