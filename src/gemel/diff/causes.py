"""Why a definition means something else: the ways from it down to what was changed."""

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
"""`("metric", "late_rate")`: a kind, as a report calls it, and a name."""

_PASSED = ("measure", "dimension", "entity")
"""What is named as a cause only where its own text changed."""


@dataclass(frozen=True, slots=True)
class Side:
    """One state as a graph, and the nodes in it that a report tells of."""

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
    """Of two states. What was found is kept: definitions stand on each other."""

    def __init__(self, graphs: Graphs, old: Side, new: Side) -> None:
        self.graphs = graphs
        self.old = old
        self.new = new
        self._subjects = {id: subject for subject, id in new.ids.items()}
        self._gone = {id: subject for subject, id in old.ids.items() if subject not in new.ids}
        self._ways: dict[Subject, tuple[tuple[str, ...], ...]] = {}

    def differ(self, subject: Subject) -> bool:
        """Whether it means something else."""
        was, is_ = self.old.ids.get(subject), self.new.ids.get(subject)
        return was is None or is_ is None or self.graphs.differ(was, is_)

    def is_own(self, subject: Subject) -> bool:
        """Whether its own text changed. Of a metric that is made of no other, its measure's is its own."""
        was, is_ = self.old.ids[subject], self.new.ids[subject]
        if self.graphs.own_differ(was, is_):
            return True
        sources = self._sources(was, is_)
        if subject[0] != "metric" or any(id.startswith("metric:") for id in sources):
            return False
        return any(self._is_own(id) for id in sources if id.startswith("measure:"))

    def of(self, subject: Subject) -> tuple[tuple[str, ...], ...]:
        """The ways from a definition down to what changed, the shortest to each."""
        if subject not in self._ways:
            self._ways[subject] = ()  # while it is looked for: definitions in a circle
            found = {way[-1]: way for way in sorted(self._found(subject), key=len, reverse=True) if way}
            self._ways[subject] = tuple(sorted(found.values(), key=lambda way: (len(way), way)))
        return self._ways[subject]

    def _found(self, subject: Subject) -> Iterator[tuple[str, ...]]:
        was, is_ = self.old.ids[subject], self.new.ids[subject]
        if subject[0] in TABLES:
            yield from self._table(subject)
            return
        if self.graphs.own_differ(was, is_):
            yield (" ".join(subject),)
        yield from self._below(was, is_)

    def _below(self, was: str, is_: str) -> Iterator[tuple[str, ...]]:
        """By what a definition is made of in both states, as far as that differs."""
        for name, (first, second) in self._named(was, is_).items():
            if " " not in name and self.old.graph.own_of(first) != self.new.graph.own_of(second):
                kind, _, of = name.partition(":")
                shown = _shown(first.text, second.text) if kind == "semantic_model" else ""
                yield (f"{kind.replace('_', ' ')} {of}{shown}",)
        before, _ = self._derivations(was, is_)
        yield from (
            (" ".join(self._gone[id]), "removed") for id in {id: None for id, _ in before.uses} if id in self._gone
        )
        for id in sorted(self._sources(was, is_)):
            kind, _, name = id.partition(":")
            match kind:
                case "column" | "rows":
                    yield from self._part_of_table(id)
                case _ if kind in _PASSED:
                    yield from self._passed(id)
                case _ if id in self._subjects:
                    yield from self._definition(self._subjects[id])

    def _passed(self, id: str) -> Iterator[tuple[str, ...]]:
        subject = self._subjects.get(id)
        was = self.old.ids.get(subject, id) if subject else id
        if self.old.graph.derivation(was) is None or not self.graphs.differ(was, id):
            return
        if self.graphs.own_differ(was, id):
            shown = _shown(_written(self.old, was), _written(self.new, id))
            yield (f"{' '.join(subject) if subject else id.replace(':', ' ')}{shown}",)
        yield from self._below(was, id)

    def _definition(self, subject: Subject) -> Iterator[tuple[str, ...]]:
        shown = " ".join(subject)
        if not self.differ(subject):
            return
        if subject not in self.old.ids:
            yield shown, "added"
            return
        for way in self.of(subject) or ((),):
            yield way if way and way[0].startswith(shown) else (shown, *way)

    # --- tables -----------------------------------------------------------------------------------------------

    def _table(self, subject: Subject) -> Iterator[tuple[str, ...]]:
        was, is_ = self.old.ids[subject], self.new.ids[subject]
        if self.graphs.own_differ(was, is_):
            yield (self._model(subject),)
            return
        owners = dict.fromkeys(map(self._owner, self._sources(was, is_)))
        for owner in owners:
            if owner is not None and owner != subject:
                yield from self._definition(owner)

    def _part_of_table(self, id: str) -> Iterator[tuple[str, ...]]:
        """`model flights (is_late_departure)`, or further up: `is_late of sales`, `model stg_sales (delay)`."""
        if not self._moved(id):
            return
        owner = self._owner(id)
        if owner is not None and (self._is_own(id) or owner not in self.old.ids):
            yield (self._own_part(id, owner),)
            return
        kind, _, name = id.partition(":")
        table, _, column = name.rpartition(".")
        shown = f"rows of {name}" if kind == "rows" else f"{column} of {table}"
        ends = list(dict.fromkeys(self._ends(id)))
        yield from ((shown, end) for end in ends) if ends else ((shown,),)

    def _ends(self, id: str) -> Iterator[str]:
        """Further up: the columns and rows of tables whose own text changed."""
        seen, waiting = {id}, [id]
        while waiting:
            each = waiting.pop()
            for source in self._sources(each, each):
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
        """`model flights (is_late_departure)`: which columns its own text changes, or its rows."""
        kind, name = subject
        if kind != "source" and self._is_own(f"rows:{name}"):
            return f"{kind} {name} (its rows)"
        names = dict.fromkeys((*self.old.graph.tables.columns(name), *self.new.graph.tables.columns(name)))
        changed = [each for each in names if self._is_own(f"column:{name}.{each}")] if kind != "source" else []
        shown = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        return f"{kind} {name} ({shown})" if changed else f"{kind} {name}"

    def _owner(self, id: str) -> Subject | None:
        """The table whose column, rows or self a node is."""
        kind, _, name = id.partition(":")
        table = name.rpartition(".")[0] if kind == "column" else name
        found = self.new.graph.tables.dbt_ids().get(table) if kind in ("column", "rows", *TABLES) else None
        return self._subjects.get(found) if found is not None else None

    # --- derivations ------------------------------------------------------------------------------------------

    def _sources(self, was: str, is_: str) -> list[str]:
        """The ids that a node is made of in both states, and of what only the newer one has at all."""
        before, after = ([id for id, _ in each.uses] for each in self._derivations(was, is_))
        known, found = {*before}, []
        for id in dict.fromkeys(after):
            subject = self._subjects.get(id)
            old = self.old.ids.get(subject) if subject is not None else id
            if old is None or old in known:
                found.append(id)
        return found

    def _named(self, was: str, is_: str) -> dict[str, tuple[Derivation, Derivation]]:
        """The definitions of their own that a node is made of in both states."""
        before, after = self._derivations(was, is_)
        if before is after:
            return {}
        olds = _definitions(before)
        return {name: (olds[name], each) for name, each in _definitions(after).items() if name in olds}

    def _derivations(self, was: str, is_: str) -> tuple[Derivation, Derivation]:
        pair = self.old.graph.derivation(was), self.new.graph.derivation(is_)
        return tuple(each or Derivation("") for each in pair)  # type: ignore[return-value]

    def _moved(self, id: str) -> bool:
        return self.graphs.differ(id, id)

    def _is_own(self, id: str) -> bool:
        return self.graphs.own_differ(id, id)


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


def _shown(was: str, is_: str) -> str:
    """`: sum a -> sum b`, where that is short."""
    return f": {was} -> {is_}" if was != is_ and len(was) + len(is_) <= 100 else ""


def _written(side: Side, id: str) -> str:
    """`amount > 100`, `primary customer_id`, `sum amount`: what is written of a measure, dimension or entity."""
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
    """As SQL, names in lower case where nothing quotes them, without brackets around all of it."""

    def plain(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Identifier):
            return exp.to_identifier(node.name if node.quoted else node.name.lower(), quoted=False)
        return node

    try:
        tree = graph.texts.scalar(text).transform(plain).unnest()
    except Refused:
        return " ".join(text.split())
    return str(tree.sql(DIALECT, comments=False, normalize_functions="upper"))
