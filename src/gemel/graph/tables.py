"""dbt's tables in the graph. The SQL of a table is traced when a path leads through it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from gemel.graph.nodes import TABLES, Edge, Gap, Node
from gemel.spec import project as dbt
from gemel.tracing.derivations import Derivation
from gemel.tracing.models import Models, untraced
from gemel.tracing.relations import Relation, of_table


class DbtTables:
    """The tables of one manifest.json, and those that only semantic models name.

    `ours` are the tables of feature views and BI views, by dbt's id: their derivations come from the definitions.
    `used` are the columns that definitions use, by the name of their table, and `features` the ids of all features.
    `same` are the ids of nodes that are equal in another state, down to the sources; `other` has traced them.
    """

    def __init__(
        self,
        models: Models,
        ours: Mapping[str, Node],
        used: Mapping[str, Iterable[str]],
        features: frozenset[str],
        *,
        same: frozenset[str] = frozenset(),
        other: "DbtTables | None" = None,
    ) -> None:
        self.project = models.renderer.project
        self._models = models
        self._ours = ours
        self._used = {name: tuple(dict.fromkeys(columns)) for name, columns in used.items()}
        self._features = features
        self._same = same
        self._other = other
        nodes = self.project.nodes
        self._named = {node.unique_name: node for id, node in nodes.items() if id not in ours}
        self._tables_of = {node.id: nodes[id] for id, node in ours.items()}
        self._relations: dict[str, Relation] = {}
        self._open_relations: dict[str, Relation] = {}
        self._edges: dict[str, dict[str, list[Edge]]] = {}

    @property
    def dialect(self) -> str:
        return self._models.dialect

    def with_models(self, models: Models, same: frozenset[str]) -> "DbtTables":
        """The tables of another state in which only the SQL of models differs."""
        return DbtTables(models, self._ours, self._used, self._features, same=same, other=self)

    def is_same(self, id: str) -> bool:
        """Whether the table of a node is equal in the other state."""
        table = self._table(id)
        return table.id in self._same if table is not None else False

    def node(self, id: str) -> Node | None:
        kind, _, name = id.partition(":")
        match kind:
            case "column":
                return Node("column", name)
            case "rows":
                return Node("rows", name)
            case _ if name in self._named and self._named[name].kind == kind:
                table = self._named[name]
                return Node(table.kind, name, table.description, table.owner, table.file)
            case "model" if name in self._used and name not in self._named:
                return Node("model", name)
            case _:
                return None

    def ids(self) -> dict[str, str]:
        """The ids of all tables, by their names for people."""
        return {name: f"model:{name}" for name in self._used if name not in self._named} | self.dbt_ids()

    def dbt_ids(self) -> dict[str, str]:
        """The ids of the tables in dbt's manifest, by name."""
        return {name: f"{table.kind}:{name}" for name, table in self._named.items()}

    def place(self, name: str) -> str | None:
        """The place of the table of that name, or of the view of that id: `market.main.orders`."""
        table = self._tables_of.get(name) or self._named.get(name)
        if table is None or table.is_ephemeral:
            return None
        relation = table.relation
        return ".".join(part for part in (relation.database, relation.schema, relation.name) if part)

    def derivation(self, id: str) -> Derivation | None:
        """The derivation of a column, of the rows or of the whole of a table; None for an unknown id."""
        kind, _, name = id.partition(":")
        table = self._table(id)
        if table is None:
            return Derivation(id) if kind in ("column", "rows", *TABLES) else None
        if table.id in self._same:
            return Derivation(f"{table.id} {id}")
        relation = self.relation(table)
        match kind:
            case "column":
                return relation.get(name.rpartition(".")[2]) or relation.whole
            case "rows":
                return relation.rows
            case _:
                return relation.whole

    def into(self, id: str) -> tuple[Edge, ...]:
        kind, _, name = id.partition(":")
        if kind in TABLES:
            return tuple(Edge(part, id, "part") for part in self.parts(id))
        table = self._table(id)
        if table is None:
            return ()
        relation = self.relation(table)
        value = relation.rows if kind == "rows" else relation.get(name.rpartition(".")[2])
        return tuple(Edge(source, id, why) for source, why in value.uses) if value is not None else ()

    def out_of(self, id: str) -> tuple[Edge, ...]:
        table = self._table(id) or self._tables_of.get(id)
        if table is None:
            name = id.partition(":")[2].rpartition(".")[0] if id.startswith("column:") else id.partition(":")[2]
            loose = name in self._used and id.startswith(("column:", "rows:"))
            return (Edge(id, f"model:{name}", "part"),) if loose else ()
        whole = (Edge(id, self._id_of(table), "part"),) if id.startswith(("column:", "rows:")) else ()
        return (*whole, *(edge for child in self._below(table) for edge in self._edges_by_source(child).get(id, ())))

    def parts(self, id: str) -> tuple[str, ...]:
        """The rows and the known columns of a table."""
        kind, _, name = id.partition(":")
        if kind not in TABLES:
            return ()
        return (f"rows:{name}", *(f"column:{name}.{column}" for column in self.columns(name)))

    def columns(self, name: str) -> tuple[str, ...]:
        """The known columns of the table of that name."""
        table = self._named.get(name)
        if table is None:
            return self._used.get(name, ())
        relation = self.relation(table)
        others = [*table.columns, *self._used.get(name, ())]
        if relation.rest is not None:
            sources = [source for child in self._below(table) for source in self._edges_by_source(child)]
            others += [each.removeprefix(f"column:{name}.") for each in sources if each.startswith(f"column:{name}.")]
        return tuple(dict.fromkeys((*relation.names, *others)))

    def gaps(self, id: str) -> tuple[Gap, ...]:
        kind, _, name = id.partition(":")
        table = self._table(id)
        if table is None:
            owner = name.rpartition(".")[0] if kind == "column" else name
            loose = kind in ("column", "rows") and owner in self._used
            return (Gap(f"model:{owner}", "dbt's manifest.json does not have it: run `dbt parse`"),) if loose else ()
        relation = self.relation(table)
        if relation.missed is not None:
            return (Gap(self._id_of(table), relation.missed),)
        gaps = [Gap(self._id_of(table), relation.gaps[""])] if "" in relation.gaps else []
        column = name.rpartition(".")[2] if kind == "column" else None
        if column is not None and column in relation.gaps:
            gaps.insert(0, Gap(id, relation.gaps[column]))
        elif column is not None and table.kind in ("model", "snapshot") and not self._has(table, column):
            gaps.insert(0, Gap(id, "the SQL of its table has no column of that name"))
        return tuple(gaps)

    def relation(self, table: dbt.Node) -> Relation:
        """The relation of a table; without inputs for a source or a seed, where lineage begins."""
        waiting = [table]
        while waiting:  # not recursive: models can be nested hundreds deep
            each = waiting[-1]
            above = [] if self._is_origin(each) else [p for p in self._above(each) if p.id not in self._relations]
            above = [parent for parent in above if parent not in waiting]
            if above:
                waiting += above
                continue
            waiting.pop()
            if each.id not in self._relations:
                self._relations[each.id] = self._read(each)
        return self._relations[table.id]

    def _read(self, table: dbt.Node) -> Relation:
        if self._is_origin(table):
            return untraced(f"{table.id} {table.relation_name if table.kind == 'source' else table.checksum}")
        if table.id in self._same and self._other is not None:
            return self._other.relation(self._other.project.nodes[table.id])
        return self._models.trace(table, self._open)

    def _open(self, table: dbt.Node) -> Relation:
        """A table as a relation of nodes, for its readers."""
        if table.id not in self._open_relations:
            # The tables above are traced before those below them, except for a model that reads itself.
            relation = self._relations.get(table.id)
            closed = relation is not None and bool(relation.names) and relation.rest is None
            names = relation.names if relation is not None else ()
            self._open_relations[table.id] = of_table(
                self._id_of(table),
                self._ours[table.id].id if table.id in self._ours else f"rows:{table.unique_name}",
                lambda name: self._id_of(table, name),
                names if closed else dict.fromkeys((*names, *table.columns)),
                closed=closed,
            )
        return self._open_relations[table.id]

    def _is_origin(self, table: dbt.Node) -> bool:
        return table.kind in ("source", "seed") or table.id in self._ours

    def _has(self, table: dbt.Node, column: str) -> bool:
        """Whether the SQL of a table has a column; dbt adds some columns to a snapshot."""
        own = table.kind == "snapshot" and column.startswith("dbt_")
        return own or self.relation(table).get(column) is not None

    def _id_of(self, table: dbt.Node, column: str | None = None) -> str:
        """The node of a column, or of the table as a whole; for a table of ours, the feature or its view."""
        ours = self._ours.get(table.id)
        if ours is None:
            name = table.unique_name
            return f"column:{name}.{column}" if column is not None else f"{table.kind}:{name}"
        feature = f"feature:{ours.name}.{column}"
        return feature if ours.kind == "feature_view" and feature in self._features else ours.id

    def _above(self, table: dbt.Node) -> list[dbt.Node]:
        return [self.project.nodes[id] for id in table.parents if id in self.project.nodes]

    def _below(self, table: dbt.Node) -> list[dbt.Node]:
        return [self.project.nodes[id] for id in self.project.children.get(table.id, ())]

    def _table(self, id: str) -> dbt.Node | None:
        """The table of a node: of a column, of rows, or the table itself."""
        kind, _, name = id.partition(":")
        if kind == "column":
            name = name.rpartition(".")[0]
        return self._named.get(name) if kind in ("column", "rows", *TABLES) else None

    def _edges_by_source(self, table: dbt.Node) -> dict[str, list[Edge]]:
        if table.id not in self._edges:
            edges: dict[str, list[Edge]] = defaultdict(list)
            self._edges[table.id] = edges
            if table.id not in self._ours:
                name = table.unique_name
                for id in (f"rows:{name}", *(f"column:{name}.{column}" for column in self.columns(name))):
                    for edge in self.into(id):
                        edges[edge.source].append(edge)
        return self._edges[table.id]
