"""The causes of a changed meaning: the paths from a definition down to what changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import Refused
from gemel.diff.graphs import Graphs
from gemel.diff.states import State
from gemel.engines.duckdb import DIALECT
from gemel.errors import Place
from gemel.graph.graph import MeaningGraph
from gemel.graph.nodes import TABLES, Node
from gemel.tracing.derivations import Derivation

Subject = tuple[str, str]
"""`("metric", "late_rate")`: a kind, in the words of a report, and a name."""

_INNER = ("measure", "dimension", "entity")
"""Kinds that are named as a cause only if their own text changed."""


@dataclass(frozen=True, slots=True)
class Side:
    """One state as a graph, and the nodes that a report lists."""

    state: State
    graph: MeaningGraph
    nodes: Mapping[Subject, Node]
    ids: Mapping[Subject, str]

    def place(self, subject: Subject) -> Place | None:
        node = self.nodes[subject]
        if node.about is None or node.about.kind in ("exposure", "model"):
            return Place(node.file) if node.file and node.kind != "source" else None
        return self.state.session.place(node.about)


class Causes:
    """The causes of the differences of two states. They are cached, as definitions depend on each other."""

    def __init__(self, graphs: Graphs, old: Side, new: Side) -> None:
        self.graphs = graphs
        self.old = old
        self.new = new
        self._subjects = {id: subject for subject, id in new.ids.items()}
        self._gone = {id: subject for subject, id in old.ids.items() if subject not in new.ids}
        self._ways: dict[Subject, tuple[tuple[str, ...], ...]] = {}

    def differ(self, subject: Subject) -> bool:
        """Whether the meaning of a definition differs."""
        was, is_ = self.old.ids.get(subject), self.new.ids.get(subject)
        return was is None or is_ is None or self.graphs.differ(was, is_)

    def is_own(self, subject: Subject) -> bool:
        """Whether the definition's own text changed. For a metric without input metrics, its measure counts too."""
        was, is_ = self.old.ids[subject], self.new.ids[subject]
        if self.graphs.own_differ(was, is_):
            return True
        sources = self._sources(*self._derivations(was, is_))
        if subject[0] != "metric" or any(id.startswith("metric:") for id in sources):
            return False
        return any(self._is_own(id) for id in sources if id.startswith("measure:"))

    def of(self, subject: Subject) -> tuple[tuple[str, ...], ...]:
        """The paths from a definition down to what changed, the shortest to each."""
        if subject not in self._ways:
            self._ways[subject] = ()  # during the search: definitions in a circle
            shortest = {way[-1]: way for way in sorted(self._search(subject), key=len, reverse=True) if way}
            self._ways[subject] = tuple(sorted(shortest.values(), key=lambda way: (len(way), way)))
        return self._ways[subject]

    def _search(self, subject: Subject) -> Iterator[tuple[str, ...]]:
        was, is_ = self.old.ids[subject], self.new.ids[subject]
        if subject[0] in TABLES:
            yield from self._table(subject)
            return
        if self.graphs.own_differ(was, is_):
            yield (" ".join(subject),)
        yield from self._below(was, is_)

    def _below(self, was: str, is_: str) -> Iterator[tuple[str, ...]]:
        """The paths through those inputs of a definition that it has in both states and that differ."""
        before, after = self._derivations(was, is_)
        for name, (first, second) in _shared_definitions(before, after).items():
            if " " not in name and self.old.graph.own_of(first) != self.new.graph.own_of(second):
                kind, _, of = name.partition(":")
                texts = _arrow(first.text, second.text) if kind == "semantic_model" else ""
                yield (f"{kind.replace('_', ' ')} {of}{texts}",)
        yield from (
            (" ".join(self._gone[id]), "removed") for id in {id: None for id, _ in before.uses} if id in self._gone
        )
        for id in sorted(self._sources(before, after)):
            kind, _, name = id.partition(":")
            match kind:
                case "column" | "rows":
                    yield from self._part_of_table(id)
                case _ if kind in _INNER:
                    yield from self._through(id)
                case _ if id in self._subjects:
                    yield from self._definition(self._subjects[id])

    def _through(self, id: str) -> Iterator[tuple[str, ...]]:
        subject = self._subjects.get(id)
        was = self.old.ids.get(subject, id) if subject else id
        if self.old.graph.derivation(was) is None or not self.graphs.differ(was, id):
            return
        if self.graphs.own_differ(was, id):
            texts = _arrow(_definition_text(self.old, was), _definition_text(self.new, id))
            yield (f"{' '.join(subject) if subject else id.replace(':', ' ')}{texts}",)
        yield from self._below(was, id)

    def _definition(self, subject: Subject) -> Iterator[tuple[str, ...]]:
        name = " ".join(subject)
        if not self.differ(subject):
            return
        if subject not in self.old.ids:
            yield name, "added"
            return
        for way in self.of(subject) or ((),):
            yield way if way and way[0].startswith(name) else (name, *way)

    # --- tables -----------------------------------------------------------------------------------------------

    def _table(self, subject: Subject) -> Iterator[tuple[str, ...]]:
        was, is_ = self.old.ids[subject], self.new.ids[subject]
        if self.graphs.own_differ(was, is_):
            yield (self._model(subject),)
            return
        owners = dict.fromkeys(map(self._owner, self._sources(*self._derivations(was, is_))))
        for owner in owners:
            if owner is not None and owner != subject:
                yield from self._definition(owner)

    def _part_of_table(self, id: str) -> Iterator[tuple[str, ...]]:
        """`model flights (is_late_departure)`, or from further up: `is_late of sales`, `model stg_sales (delay)`."""
        if not self._moved(id):
            return
        owner = self._owner(id)
        if owner is not None and (self._is_own(id) or owner not in self.old.ids):
            yield (self._own_part(id, owner),)
            return
        kind, _, name = id.partition(":")
        table, _, column = name.rpartition(".")
        part = f"rows of {name}" if kind == "rows" else f"{column} of {table}"
        ends = list(dict.fromkeys(self._ends(id)))
        yield from ((part, end) for end in ends) if ends else ((part,),)

    def _ends(self, id: str) -> Iterator[str]:
        """The columns and rows further up that the text of their own table changed."""
        seen, waiting = {id}, [id]
        while waiting:
            each = waiting.pop()
            for source in self._sources(*self._derivations(each, each)):
                if source in seen or not self._moved(source):
                    continue
                seen.add(source)
                owner = self._owner(source)
                if owner is None:
                    yield " ".join(self._subjects.get(source, tuple(source.split(":", 1))))
                elif self._is_own(source) or owner not in self.old.ids:
                    yield self._own_part(source, owner)
                else:
                    waiting.append(source)

    def _own_part(self, id: str, owner: Subject) -> str:
        kind, _, name = id.partition(":")
        if owner not in self.old.ids:
            return f"{' '.join(owner)} added"
        if owner[0] == "source" or kind not in ("column", "rows"):
            return self._model(owner)
        return f"{' '.join(owner)} ({'its rows' if kind == 'rows' else name.rpartition('.')[2]})"

    def _model(self, subject: Subject) -> str:
        """`model flights (is_late_departure)`: the columns, or the rows, that the model's own text changes."""
        kind, name = subject
        if kind != "source" and self._is_own(f"rows:{name}"):
            return f"{kind} {name} (its rows)"
        names = dict.fromkeys((*self.old.graph.tables.columns(name), *self.new.graph.tables.columns(name)))
        changed = [each for each in names if self._is_own(f"column:{name}.{each}")] if kind != "source" else []
        columns = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        return f"{kind} {name} ({columns})" if changed else f"{kind} {name}"

    def _owner(self, id: str) -> Subject | None:
        """The table of a node: of a column, of rows, or the table itself."""
        kind, _, name = id.partition(":")
        table = name.rpartition(".")[0] if kind == "column" else name
        node = self.new.graph.tables.dbt_ids().get(table) if kind in ("column", "rows", *TABLES) else None
        return self._subjects.get(node) if node is not None else None

    # --- derivations ------------------------------------------------------------------------------------------

    def _sources(self, before: Derivation, after: Derivation) -> list[str]:
        """The inputs of a node in both states, and those inputs that are new in the newer state."""
        earlier, sources = {id for id, _ in before.uses}, []
        for id in {id: None for id, _ in after.uses}:
            subject = self._subjects.get(id)
            old = self.old.ids.get(subject) if subject is not None else id
            if old is None or old in earlier:
                sources.append(id)
        return sources

    def _derivations(self, was: str, is_: str) -> tuple[Derivation, Derivation]:
        before, after = self.old.graph.derivation(was), self.new.graph.derivation(is_)
        return before or Derivation(""), after or Derivation("")

    def _moved(self, id: str) -> bool:
        return self.graphs.differ(id, id)

    def _is_own(self, id: str) -> bool:
        return self.graphs.own_differ(id, id)


def _shared_definitions(before: Derivation, after: Derivation) -> dict[str, tuple[Derivation, Derivation]]:
    """The named derivations that a node uses in both states."""
    if before is after:
        return {}
    olds = _definitions(before)
    return {name: (olds[name], each) for name, each in _definitions(after).items() if name in olds}


def _definitions(derivation: Derivation) -> dict[str, Derivation]:
    """By name."""
    found: dict[str, Derivation] = {}
    seen, waiting = {id(derivation)}, [derivation]
    while waiting:
        each = waiting.pop()
        if each.name is not None:
            found[each.name] = each
        inner = [part for _, part in each.parts if not isinstance(part, str) and id(part) not in seen]
        seen |= set(map(id, inner))
        waiting += reversed(inner)
    return found


def _arrow(was: str, is_: str) -> str:
    """`: sum a -> sum b`, if it is short."""
    return f": {was} -> {is_}" if was != is_ and len(was) + len(is_) <= 100 else ""


def _definition_text(side: Side, id: str) -> str:
    """`amount > 100`, `primary customer_id`, `sum amount`: the text of a measure, dimension or entity."""
    graph = side.state.session.graph
    kind, _, name = id.partition(":")
    if kind == "measure":
        measures = (metric.definition.measure for metric in graph.metrics.values())
        measure = next(each for each in measures if each is not None and each.name == name)
        agg = "sum_boolean" if measure.is_flag else measure.agg
        return " ".join([agg, _sql(graph, measure.expr), *filter(None, [str(measure.percentile or "")])])
    about = side.graph.node(id).about
    assert about is not None and about.element is not None
    if kind == "entity":
        entity = graph.entity(about.name, about.element)
        return f"{entity.type} {_sql(graph, entity.expr)}" if entity is not None else ""
    dimension = graph.dimension(about.name, about.element)
    assert dimension is not None
    more = [dimension.grain, dimension.validity, "partition" if dimension.is_partition else None]
    return " ".join([_sql(graph, dimension.expr), *filter(None, more)])


def _sql(graph: Graph, text: str) -> str:
    """As SQL, with unquoted names in lower case, without outer brackets; functions as they are written."""

    def unquote(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Identifier):
            return exp.to_identifier(node.name if node.quoted else node.name.lower(), quoted=False)
        return node

    try:
        own = graph.texts.own(text)
    except Refused:
        return " ".join(text.split())
    if own.words is not None:
        return " ".join(text.split())
    tree = own.tree.transform(unquote).unnest()
    return str(tree.sql(DIALECT, comments=False, normalize_functions="upper"))
