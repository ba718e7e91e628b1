"""Queries on either state in one warehouse: the dbt models in which the states differ become CTEs of the query.

So it does not matter which state the tables were built from: everything that differs is computed in the query, over
tables that are equal in both states. Nothing is written.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from gemel.compiler.compiled import Compiled, Context, compiled
from gemel.compiler.plan.algebra import Plan
from gemel.dbt.manifest import MANIFEST, read_project
from gemel.dbt.profile import read_target
from gemel.dbt.rendering import Renderer
from gemel.dbt.running import Say, find_target_dir, run_dbt_into
from gemel.dbt.templates import Opaque
from gemel.diff.graphs import read_graphs
from gemel.diff.states import State
from gemel.errors import GemelError, ProjectError
from gemel.session import Session
from gemel.spec.manifest import Relation
from gemel.spec.project import Node
from gemel.temporary import temporary_folder
from gemel.tracing.models import Models
from gemel.tracing.relations import Unreadable

if TYPE_CHECKING:
    import pyarrow

_INLINE = ("view", "table", "ephemeral", "materialized_view")
_WHY = {
    "incremental": "it is built incrementally, so its rows depend on its builds",
    "snapshot": "its rows depend on its runs",
    "seed": "its rows are loaded from a file, and the database has those of one state",
    "python": "it is Python",
}


@dataclass(slots=True)
class Reader:
    """Computes plans over one state. `inlined` are the ids of the nodes that become CTEs."""

    state: State
    session: Session
    other: State | None
    inlined: frozenset[str]
    say: Say = lambda line: None
    _trees: dict[str, exp.Query] = field(default_factory=dict)

    def table(self, plan: Plan) -> "pyarrow.Table":
        """The rows of a plan over this state's definitions. Raises WarehouseError, and ProjectError (G763)."""
        return self.session.runner.rows(self.compile(plan)).arrow()

    def compile(self, plan: Plan) -> Compiled:
        used: dict[str, None] = {}
        sql = compiled(plan, Context(self.session.engine, lambda relation: self._table_of(relation, used)))
        queries = {_cte(self.state.dbt.nodes[id]): query for id, query in self._closure(used).items()}
        return sql.with_queries(queries) if queries else sql

    def _table_of(self, relation: Relation, used: dict[str, None]) -> exp.Table:
        node = self.state.dbt.node_at(relation)
        if node is not None and node.id in self.inlined:
            used[node.id] = None
            return exp.Table(this=exp.to_identifier(_cte(node)))
        return self.session.runner.table(self._place_now(node, relation))

    def _place_now(self, node: Node | None, relation: Relation) -> Relation:
        """The place of a table in the current project, also for the other state."""
        there = self.other.dbt.nodes.get(node.id) if self.other and node else None
        return there.relation if there else relation

    def _closure(self, used: Mapping[str, None]) -> dict[str, exp.Query]:
        """The models that a query needs, each after those that it reads."""
        queries: dict[str, exp.Query] = {}

        def add(id: str) -> None:
            if id in queries:
                return
            node = self.state.dbt.nodes[id]
            _refuse(node, self.state)
            for parent in node.parents:
                if parent in self.inlined:
                    add(parent)
            if node.materialized != "ephemeral":
                queries[id] = self._tree(node)

        for id in used:
            add(id)
        return queries

    def _tree(self, node: Node) -> exp.Query:
        if node.id not in self._trees:
            written = self._written(node)
            if written is not None:
                query, nodes = written
                self._trees[node.id] = self._replace_tables(query, lambda table: nodes.get(table.name))
            else:
                self._compile()
        if node.id not in self._trees:
            raise ProjectError("G763", f"dbt did not compile model {node.name!r} of {self.state.name}")
        return self._trees[node.id].copy()

    def _written(self, node: Node) -> tuple[exp.Query, Mapping[str, str]] | None:
        """The SQL of a model, and the node of each name in it; None if only dbt can render it."""
        parents = [self.state.dbt.nodes.get(parent) for parent in node.parents]
        renderer = Renderer(self.state.dbt, self.state.variables)
        try:
            rendering = renderer.render_written(node)
            tree = Models(renderer, self.session.dialect, renderer.render_written).parse(rendering)
        except (Opaque, Unreadable):
            return None
        placed = all(each and each.relation_name and each.kind != "source" for each in parents)
        return (tree, rendering.nodes) if placed and rendering.is_complete and isinstance(tree, exp.Query) else None

    def _compile(self) -> None:
        """Compile all models at once that only dbt can render."""
        nodes = self.state.dbt.nodes
        wanted = [id for id in self.inlined if _inlinable(nodes[id]) and self._written(nodes[id]) is None]
        places = {
            _place(each.relation_name, self.session.dialect): id for id, each in nodes.items() if each.relation_name
        }
        for id, text in _compile_models(self.state, self.session, wanted, self.say).items():
            try:
                tree = parse_one(text, dialect=self.session.dialect)
            except SqlglotError as error:
                message = f"the SQL of model {nodes[id].name!r} cannot be read: {str(error).splitlines()[0]}"
                raise ProjectError("G763", message, hint=_OTHERWISE) from None
            if not isinstance(tree, exp.Query):
                raise ProjectError("G763", f"model {nodes[id].name!r} is not a SELECT", hint=_OTHERWISE)
            self._trees[id] = self._replace_tables(
                tree, lambda table: places.get((table.db.lower(), table.name.lower())) if table.db else None
            )

    def _replace_tables(self, tree: exp.Query, node_of: Callable[[exp.Table], str | None]) -> exp.Query:
        """Replace the tables of nodes by the names that they have in the query."""
        for table in list(tree.find_all(exp.Table)):
            node = self.state.dbt.nodes.get(node_of(table) or "")
            if node is None:
                continue
            if node.id in self.inlined:
                _refuse(node, self.state)
                new = exp.Table(this=exp.to_identifier(_cte(node)))
            else:
                place = exp.to_table(node.relation_name, dialect=self.session.dialect) if node.relation_name else table
                relation = Relation(place.name, place.db or None, place.catalog or None, written=node.relation.written)
                new = self.session.runner.table(self._place_now(node, relation))
            name = exp.TableAlias(this=exp.to_identifier(node.name, quoted=True))
            new.set("alias", (table.args.get("alias") or name).copy())
            table.replace(new)
        return tree


def open_readers(before: State, after: State, *, base_database: str | None, say: Say) -> tuple[Reader, Reader]:
    """A reader for each state. With `base_database`, each state is read from a database that was built from it."""
    if base_database is not None:
        built = Session(
            before.session.manifest,
            before.session.dir,
            database=base_database,
            target=before.session.target,
            profiles_dir=before.session.profiles_dir,
            vars=before.session.vars,
        )
        nothing: frozenset[str] = frozenset()
        return Reader(before, built, None, nothing), Reader(after, after.session, None, nothing)
    differ = frozenset(_find_differences(before, after))
    sides = []
    for state in (before, after):
        inlined = frozenset(id for id in differ if id in state.dbt.nodes and id.split(".")[0] != "source")
        sides.append(Reader(state, after.session, after, inlined, say))
    return sides[0], sides[1]


def _find_differences(before: State, after: State) -> Iterator[str]:
    """The ids of nodes that semantic models or time spines read, and that are not equal in both states."""
    if not before.dbt.is_parsed or not after.dbt.is_parsed:
        return
    read: dict[str, None] = {}
    for state in (before, after):
        manifest = state.session.manifest
        relations = [model.relation for model in manifest.models] + [spine.relation for spine in manifest.time_spines]
        waiting = [node.id for node in map(state.dbt.node_at, relations) if node is not None]
        while waiting:
            id = waiting.pop()
            if id not in read and id in state.dbt.nodes:
                read[id] = None
                waiting += state.dbt.nodes[id].parents
    pair = read_graphs(before, after)
    for id in read:
        nodes = [state.dbt.nodes.get(id) for state in (before, after)]
        names = [f"{node.kind}:{node.unique_name}" for node in nodes if node is not None]
        if len(names) < 2 or (id not in pair.same and pair.differ(*names)):
            yield id


def _cte(node: Node) -> str:
    return f"gemel_{node.unique_name}".replace(".", "_")


def _inlinable(node: Node) -> bool:
    return node.kind == "model" and node.language == "sql" and node.materialized in _INLINE


_OTHERWISE = "build the other state into another database, and use --base-database FILE"


def _refuse(node: Node, state: State) -> None:
    """Raises ProjectError (G763) for a node that cannot be computed in a query."""
    if _inlinable(node):
        return
    kind = node.kind if node.kind != "model" else node.materialized or "model"
    why = _WHY.get("python" if node.language == "python" else kind, f"it is materialized as {kind}")
    message = f"{node.kind} {node.name!r} differs between the states, and cannot be computed in a query: {why}"
    raise ProjectError("G763", message, hint=_OTHERWISE)


def _place(relation: str, dialect: str) -> tuple[str, str]:
    table = exp.to_table(relation, dialect=dialect)
    return table.db.lower(), table.name.lower()


# --- dbt compile ----------------------------------------------------------------------------------------------


def _compile_models(state: State, session: Session, ids: list[str], say: Say) -> dict[str, str]:
    """The SQL of models as dbt compiles it. dbt may read the warehouse for that, and writes nothing."""
    if state.dir is None:
        nodes = state.dbt.nodes
        missing = [nodes[id].name for id in ids if not nodes[id].compiled]
        if missing:
            message = f"{state.name} has no compiled SQL of {', '.join(missing)}, in which the states differ"
            raise ProjectError(
                "G763", message, hint="save the target/ folder after `dbt compile`, or name a git revision"
            )
        return {id: str(nodes[id].compiled) for id in ids}
    assert session.dir is not None
    folder = _folder(state, session)
    try:
        with _profile(session) as profile:
            say(f"{state.name}: running dbt compile of {', '.join(sorted(state.dbt.nodes[id].name for id in ids))}")
            names = [state.dbt.nodes[id].name for id in ids]
            arguments = ["compile", "--select", *names, *profile.arguments, "--full-refresh"]
            run_dbt_into(
                folder,
                arguments,
                state.dir,
                target=session.target,
                profiles_dir=profile.folder,
                vars=session.given_vars,
            )
        nodes = read_project(folder / MANIFEST).nodes
    except GemelError as error:
        raise ProjectError("G763", f"the models of {state.name} cannot be compiled: {error}", hint=_OTHERWISE) from None
    return {id: node.compiled for id in ids if (node := nodes.get(id)) and node.compiled}


def _folder(state: State, session: Session) -> Path:
    """A folder beside the state's artifacts: a manifest of compiled models is not one for other commands."""
    artifacts = state.session.artifacts or find_target_dir(session.dir or Path())
    return artifacts / "gemel" / "compiled"


@dataclass(frozen=True, slots=True)
class _Profile:
    folder: str | None
    arguments: tuple[str, ...] = ()


@contextmanager
def _profile(session: Session) -> Iterator[_Profile]:
    """A profile with which dbt can only read, if the engine has such settings."""
    assert session.dir is not None
    read_only = session.engine.read_only
    if read_only is None or session.profile_target() is None:
        yield _Profile(session.profiles_dir)
        return
    import yaml

    target = read_target(session.dir, target=session.target, profiles_dir=session.profiles_dir, vars=session.given_vars)
    file = session.database if isinstance(session.database, str | Path) else None
    written = read_only(target, session.dir, file)
    with temporary_folder() as folder:  # the profile may have a password
        outputs = {target.profile: {"target": target.name, "outputs": {target.name: written}}}
        profile = folder / "profiles.yml"
        profile.touch(0o600)
        profile.write_text(yaml.safe_dump(outputs), encoding="utf-8")
        yield _Profile(str(folder), ("--profile", target.profile, "--target", target.name))
