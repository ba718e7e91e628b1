"""dbt's tables in the lineage: which columns and rows each is made of, found when a way leads over it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from gemel.dbt.dag import Dag, Table
from gemel.graph.graph import TABLES, Edge, Gap, Node
from gemel.tracing.derivations import Derivation
from gemel.tracing.relations import Relation


class DbtTables:
    """The tables of one manifest.json, and those that only semantic models know.

    `ours` are those that are a feature view or BI view, by dbt's id: the definitions say what they are made of.
    `used` are the columns that definitions name, by the name of their table, and `features` the ids of all features.
    """

    def __init__(
        self,
        dag: Dag,
        ours: Mapping[str, Node],
        used: Mapping[str, Iterable[str]],
        features: frozenset[str],
        resolve: Callable[["DbtTables", Table], Relation],
    ) -> None:
        self.dag = dag
        self._ours = ours
        self._used = {name: tuple(dict.fromkeys(columns)) for name, columns in used.items()}
        self._features = features
        self._resolve = resolve
        self._children = dag.children()
        self._named = {table.name: table for table in dag.tables.values() if table.id not in ours}
        self._tables_of = {node.id: dag.tables[id] for id, node in ours.items()}
        self._relations: dict[str, Relation] = {}
        self._edges: dict[str, dict[str, list[Edge]]] = {}

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

    def nodes(self) -> dict[str, str]:
        """The ids of all tables, by the names that people call them."""
        loose = {name: f"model:{name}" for name in self._used if name not in self._named}
        return loose | {name: f"{table.kind}:{name}" for name, table in self._named.items()}

    def place(self, name: str) -> str | None:
        """Where the table of that name, or of the view of that id, is: `market.main.orders`."""
        table = self._tables_of.get(name) or self._named.get(name)
        return ".".join(part for part in table.place if part) if table and table.place else None

    def id_of(self, table: Table, column: str | None = None) -> str:
        """The node of a column, or of the table as a whole: a feature or its view where the table is ours."""
        ours = self._ours.get(table.id)
        if ours is None:
            return f"column:{table.name}.{column}" if column is not None else f"{table.kind}:{table.name}"
        feature = f"feature:{ours.name}.{column}"
        return feature if ours.kind == "feature_view" and feature in self._features else ours.id

    def rows_of(self, table: Table) -> str:
        return self._ours[table.id].id if table.id in self._ours else f"rows:{table.name}"

    def into(self, id: str) -> tuple[Edge, ...]:
        kind, _, name = id.partition(":")
        if kind in TABLES:
            return tuple(Edge(part, id, "part") for part in self.parts(id))
        table = self._table(id)
        if table is None:
            return ()
        relation = self.relation(table)
        found = relation.rows if kind == "rows" else relation.get(name.rpartition(".")[2])
        return tuple(Edge(source, id, why) for source, why in found.uses) if found is not None else ()

    def out_of(self, id: str) -> tuple[Edge, ...]:
        table = self._table(id) or self._tables_of.get(id)
        if table is None:
            name = id.partition(":")[2].rpartition(".")[0] if id.startswith("column:") else id.partition(":")[2]
            loose = name in self._used and id.startswith(("column:", "rows:"))
            return (Edge(id, f"model:{name}", "part"),) if loose else ()
        whole = (Edge(id, self.id_of(table), "part"),) if id.startswith(("column:", "rows:")) else ()
        below = [self.dag.tables[child] for child in self._children.get(table.id, ())]
        return (*whole, *(edge for child in below for edge in self._edges_by_source(child).get(id, ())))

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
        asked = [*table.columns, *self._used.get(name, ())]
        if relation.rest is not None:
            below = [self.dag.tables[child] for child in self._children.get(table.id, ())]
            sources = [source for child in below for source in self._edges_by_source(child)]
            asked += [each.removeprefix(f"column:{name}.") for each in sources if each.startswith(f"column:{name}.")]
        return tuple(dict.fromkeys((*relation.names, *asked)))

    def gaps(self, id: str) -> tuple[Gap, ...]:
        kind, _, name = id.partition(":")
        table = self._table(id)
        if table is None:
            owner = name.rpartition(".")[0] if kind == "column" else name
            loose = kind in ("column", "rows") and owner in self._used
            return (Gap(f"model:{owner}", "no manifest.json of dbt's tells of it: run `dbt parse`"),) if loose else ()
        relation = self.relation(table)
        if relation.missed is not None:
            return (Gap(self.id_of(table), relation.missed),)
        found = [Gap(self.id_of(table), relation.gaps[""])] if "" in relation.gaps else []
        column = name.rpartition(".")[2] if kind == "column" else None
        if column is not None and column in relation.gaps:
            found.insert(0, Gap(id, relation.gaps[column]))
        elif column is not None and table.kind in ("model", "snapshot") and not self._has(table, column):
            found.insert(0, Gap(id, "its table's SQL has no column of that name"))
        return tuple(found)

    def _has(self, table: Table, column: str) -> bool:
        """Whether a table's SQL makes a column; some of a snapshot's are dbt's own."""
        own = table.kind == "snapshot" and column.startswith("dbt_")
        return own or self.relation(table).get(column) is not None

    def relation(self, table: Table) -> Relation:
        """What a table is derived from; nothing for a source or a seed, which are where lineage begins."""
        waiting = [table]
        while waiting:  # not by calls: models stand on each other hundreds deep
            each = waiting[-1]
            begins = each.kind in ("source", "seed") or each.id in self._ours
            above = [] if begins else [p for p in self.parents(each) if p.id not in self._relations]
            above = [parent for parent in above if parent not in waiting]
            if above:
                waiting += above
                continue
            waiting.pop()
            if each.id not in self._relations:
                self._relations[each.id] = _BEGINNING if begins else self._resolve(self, each)
        return self._relations[table.id]

    def parents(self, table: Table) -> list[Table]:
        return [self.dag.tables[id] for id in table.parents if id in self.dag.tables]

    def _table(self, id: str) -> Table | None:
        """The table whose column, rows or self a node is."""
        kind, _, name = id.partition(":")
        if kind == "column":
            name = name.rpartition(".")[0]
        return self._named.get(name) if kind in ("column", "rows", *TABLES) else None

    def _edges_by_source(self, table: Table) -> dict[str, list[Edge]]:
        if table.id not in self._edges:
            found: dict[str, list[Edge]] = defaultdict(list)
            self._edges[table.id] = found
            if table.id not in self._ours:
                for id in (f"rows:{table.name}", *(f"column:{table.name}.{name}" for name in self.columns(table.name))):
                    for edge in self.into(id):
                        found[edge.source].append(edge)
        return self._edges[table.id]


_NOTHING = Derivation("")
_BEGINNING = Relation({}, _NOTHING, _NOTHING, lambda name: _NOTHING)
