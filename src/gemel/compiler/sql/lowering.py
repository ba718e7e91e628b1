"""A plan to one sqlglot SELECT. A step gets a SELECT of its own only if it needs one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from sqlglot import exp

from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Calendar,
    Combine,
    Derive,
    Distinct,
    Filter,
    Join,
    Lookup,
    Moments,
    Plan,
    Scan,
    Stack,
    Top,
    Versions,
    columns,
    is_rows,
)
from gemel.compiler.question.expressions import (
    column,
    copied,
    free,
    identifier,
    identifiers,
    interval,
    substitute,
)
from gemel.compiler.question.own import comparable
from gemel.compiler.sql.aggregates import aggregate, simplify
from gemel.compiler.sql.calendars import spelled
from gemel.compiler.sql.frames import frame, frame_name, in_windows, left_at, period_before
from gemel.compiler.sql.titles import facts_name, title_of
from gemel.spec.manifest import Relation
from gemel.spec.time import Window

Tables = Callable[[Relation], exp.Table]
History = tuple[Scan, Versions]
"""A table with a history, with the versions that its rows are."""

MOST_BRANCHES = 12
"""The number of results that are combined in one step; more are combined in groups."""


def lower(
    plan: Plan, tables: Tables, *, ranges: bool = True, histories: dict[History, None] | None = None
) -> exp.Select:
    """The SELECT that computes a plan's result. `tables` gives the SQL of a relation.

    `ranges` is whether a window frame can be as long as an interval; if it cannot, facts are joined to moments. The
    histories that are looked up are added to `histories`.
    """
    lowering = _Lowering(tables, ranges, {} if histories is None else histories)
    select = lowering.draft(plan).select()
    for name, query in lowering.ctes.items():
        select = select.with_(identifier(name), as_=query, copy=False)
    return select


@dataclass(slots=True)
class _Draft:
    """A SELECT to which steps may still be added."""

    source: exp.Expr
    joins: list[exp.Join] = field(default_factory=list)
    where: list[exp.Expr] = field(default_factory=list)
    outputs: dict[str, exp.Expr] = field(default_factory=dict)
    group: list[exp.Expr] | None = None
    having: list[exp.Expr] = field(default_factory=list)
    windows: dict[str, exp.Window] = field(default_factory=dict)
    distinct: bool = False
    order: list[tuple[str, bool]] = field(default_factory=list)
    limit: int | None = None

    def select(self) -> exp.Select:
        query = exp.Select().from_(self.source, copy=False)
        for join in self.joins:
            query = query.join(join, copy=False)
        if self.where:
            query = query.where(*_conjuncts(self.where), copy=False)
        query = query.select(*_aliased(self.outputs), copy=False)
        if self.group:
            query = query.group_by(*(key.copy() for key in self._grouping(self.group)), copy=False)
        if self.having:
            query = query.having(*_conjuncts(self.having), copy=False)
        for name, window in self.windows.items():
            query = query.window(exp.Window(**{**window.args, "this": identifier(name)}), copy=False)
        if self.distinct:
            query = query.distinct(copy=False)
        for name, descending in self.order:
            query = query.order_by(
                exp.Ordered(this=column(name), desc=descending or None, nulls_first=False), copy=False
            )
        return query.limit(self.limit, copy=False) if self.limit is not None else query

    def _grouping(self, group: list[exp.Expr]) -> list[exp.Expr]:
        """Positions if the keys come first in the output, as people write them; otherwise the expressions."""
        if list(self.outputs.values())[: len(group)] == group:
            return [exp.Literal.number(position + 1) for position in range(len(group))]
        return group


@dataclass(slots=True)
class _Lowering:
    tables: Tables
    ranges: bool = True
    histories: dict[History, None] = field(default_factory=dict)
    ctes: dict[str, exp.Query] = field(default_factory=dict)
    _named: dict[Plan, str] = field(default_factory=dict)
    _met: dict[int, tuple[Plan, str]] = field(default_factory=dict)

    def draft(self, plan: Plan) -> _Draft:
        match plan:
            case Scan(source, alias):
                return _Draft(self._table(source, alias))
            case Lookup() | Join():
                return self._rows(plan)
            case Filter(inner, predicate):
                if is_rows(plan):
                    return self._rows(plan)
                draft = self._open(inner)
                (draft.where if draft.group is None else draft.having).append(_inline(predicate, draft.outputs))
                return draft
            case Aggregate(inner, keys, values):
                draft = self._over(inner)
                draft.group = [key.value for key in keys]
                draft.outputs = {key.name: key.value for key in keys}
                for value in values:
                    draft.outputs[value.name] = aggregate(value, grouped=bool(keys))
                return draft
            case Distinct(inner, keys):
                draft = self._over(inner)
                draft.outputs = {key.name: key.value for key in keys}
                draft.distinct = True
                return draft
            case Derive(inner, outputs):
                draft = self._open(inner)
                draft.outputs = {output.name: _inline(output.value, draft.outputs) for output in outputs}
                return draft
            case Combine():
                return self._combine(plan)
            case Moments() | Stack():
                return self._wrapped(plan)
            case AsOf(spine=spine):
                if isinstance(spine, Calendar):
                    return self.draft(spelled(plan, spine))
                return self._as_of(plan, spine)
            case Top(inner, order, limit):
                draft = self.draft(inner)
                if draft.limit is not None:
                    draft = self._wrapped(inner)
                draft.order, draft.limit = list(order), limit
                return draft
            case _:
                assert_never(plan)

    def _rows(self, plan: Plan) -> _Draft:
        """Rows with all that is looked up, joined and filtered, from the inside out."""
        steps: list[Lookup | Join | Filter] = []
        while isinstance(plan, Lookup | Join | Filter):
            steps.append(plan)
            plan = plan.input
        draft = self.draft(plan)
        for step in reversed(steps):
            match step:
                case Lookup(right=right, on=on, versions=versions):
                    if versions is not None:
                        self.histories[right, versions] = None
                    join = exp.Join(this=self._table(right.source, right.alias), on=on.copy(), side="LEFT")
                    draft.joins.append(join)
                case Join(right=right, on=on, how=how):
                    draft.joins.append(_join(self._table(right.source, right.alias), on.copy(), how))
                case Filter(predicate=predicate):
                    draft.where.append(predicate)
        return draft

    def _over(self, inner: Plan) -> _Draft:
        """A draft whose rows can be grouped."""
        return self.draft(inner) if is_rows(inner) else self._wrapped(inner)

    def _open(self, inner: Plan) -> _Draft:
        """A draft whose outputs can be computed further."""
        draft = self.draft(inner)
        return self._wrapped(inner) if draft.distinct or draft.order or draft.limit is not None else draft

    def _wrapped(self, inner: Plan) -> _Draft:
        name = self._cte(inner, title_of(inner))
        return _Draft(exp.Table(this=identifier(name)), outputs={c: column(c) for c in columns(inner)})

    def _table(self, source: Relation | Plan, alias: str) -> exp.Table:
        if isinstance(source, Relation):
            table = self.tables(source)
        else:
            table = exp.Table(this=identifier(self._cte(source, title_of(source) if alias == "facts" else alias)))
        wanted = identifier(alias)
        if table.name != alias or table.this.args.get("quoted") != wanted.quoted:
            table.set("alias", exp.TableAlias(this=wanted))
        return table

    def _cte(self, plan: Plan, wanted: str) -> str:
        # By identity first: comparing a plan by value walks through all of it.
        if id(plan) in self._met:
            return self._met[id(plan)][1]
        name = self._named.get(plan)
        if name is None:
            match plan:
                case Moments():
                    query = self._moments(plan)
                case Stack(inputs):
                    query, *branches = [self.draft(part).select() for part in inputs]
                    for branch in branches:
                        query = exp.Union(this=query, expression=branch, distinct=False)
                case _:
                    query = self.draft(plan).select()
            name = self._named[plan] = free(wanted, self.ctes)
            self.ctes[name] = query
        self._met[id(plan)] = plan, name
        return name

    def _combine(self, plan: Combine) -> _Draft:
        if plan.keys and len(plan.inputs) > MOST_BRANCHES:
            # Each branch has the columns of all others: the text grows with the square of the branches.
            size = -(-len(plan.inputs) // MOST_BRANCHES)
            chunks = [plan.inputs[at : at + size] for at in range(0, len(plan.inputs), size)]
            groups = (replace(plan, inputs=chunk) if len(chunk) > 1 else chunk[0] for chunk in chunks)
            return self._combine(replace(plan, inputs=tuple(groups)))
        names = [self._cte(part, title_of(part)) for part in plan.inputs]
        if not plan.keys:
            draft = _Draft(exp.Table(this=identifier(names[0])))
            draft.joins = [exp.Join(this=exp.Table(this=identifier(name)), kind="CROSS") for name in names[1:]]
            draft.outputs = {
                c: column(c, name) for name, part in zip(names, plan.inputs, strict=True) for c in columns(part)
            }
            return draft
        values = [c for c in plan.columns if c not in plan.keys]
        stack: exp.Select | exp.Union | None = None
        for name, part in zip(names, plan.inputs, strict=True):
            own = set(columns(part))
            branch = exp.select(
                *(column(key) for key in plan.keys),
                *(column(c) if c in own else exp.Alias(this=exp.null(), alias=identifier(c)) for c in values),
                copy=False,
            ).from_(exp.Table(this=identifier(name)), copy=False)
            stack = branch if stack is None else exp.Union(this=stack, expression=branch, distinct=False)
        assert stack is not None
        alias = exp.TableAlias(this=identifier("facts"))
        draft = _Draft(exp.Subquery(this=stack, alias=alias))
        draft.group = [column(key) for key in plan.keys]
        draft.outputs = {key: column(key) for key in plan.keys}
        # Each group has one row of each fact, so any aggregate that ignores NULLs gives that row's value.
        draft.outputs |= {c: exp.Max(this=column(c)) for c in values}
        return draft

    def _moments(self, plan: Moments) -> exp.Query:
        facts = self._cte(plan.facts, f"{facts_name(plan.facts)}_by_step")
        moment = column(plan.moment)
        if plan.every:
            series = exp.GenerateSeries(start=exp.Min(this=moment), end=plan.until, step=interval(plan.schedule))
            draft = _Draft(exp.Table(this=identifier(facts)), group=[column(key) for key in plan.keys])
            draft.outputs = {key: column(key) for key in plan.keys}
            draft.outputs[plan.moment] = exp.Explode(this=series)
            return draft.select()

        def own() -> list[exp.Expr]:
            return [column(key) for key in plan.keys]

        def of(table: str, *outputs: exp.Expr) -> exp.Select:
            return exp.select(*outputs, copy=False).from_(exp.Table(this=identifier(table)), copy=False)

        stack: exp.Query = of(facts, *own(), column(plan.moment))
        for window in plan.windows:
            left = exp.Alias(this=left_at(moment, window, plan.schedule), alias=identifier(plan.moment))
            branch = of(facts, *own(), left)
            stack = exp.Union(this=stack, expression=branch, distinct=True)
        for turn in plan.turns:
            stack = exp.Union(this=stack, expression=self.draft(turn).select(), distinct=True)
        changes = exp.Subquery(this=stack, alias=exp.TableAlias(this=identifier("changes")))
        in_time = exp.LTE(this=column(plan.moment), expression=plan.until.copy())
        shown = exp.select(*own(), column(plan.moment), copy=False).from_(changes, copy=False)
        return shown.where(in_time, copy=False)

    def _as_of(self, plan: AsOf, spine: Moments) -> _Draft:
        """Window frames over the moments. Every fact's own moment is among them, so none is missed."""
        facts = self._cte(plan.facts, f"{facts_name(plan.facts)}_by_step")
        moments = self._cte(spine, "moments")
        draft = _Draft(exp.Table(this=identifier(moments)))
        same = [exp.EQ(this=column(c, moments), expression=column(c, facts)) for c in spine.columns]
        draft.joins = [exp.Join(this=exp.Table(this=identifier(facts)), on=exp.and_(*same, copy=False), side="LEFT")]
        draft.outputs = {c: column(c, moments) for c in spine.columns}
        joined = [] if self.ranges else [v for v in plan.values if isinstance(v.back, Window) and v.back != plan.step]
        if joined:
            windows = self._cte(in_windows(plan, spine, joined), "in_windows")
            same = [exp.EQ(this=column(c, moments), expression=column(c, windows)) for c in spine.columns]
            draft.joins.append(
                exp.Join(this=exp.Table(this=identifier(windows)), on=exp.and_(*same, copy=False), side="LEFT")
            )
        for value in plan.values:
            if value.back == plan.step:  # the moment's own row
                draft.outputs[value.name] = column(value.value, facts)
                continue
            if value in joined:
                draft.outputs[value.name] = column(value.name, windows)
                continue
            name = frame_name(value.back)
            draft.windows[name] = exp.Window(
                partition_by=[column(key, moments) for key in spine.keys] + period_before(value.back, spine, moments),
                order=exp.Order(expressions=[column(spine.moment, moments)]),
                spec=frame(value.back, plan.step, "RANGE" if self.ranges else "ROWS"),
            )
            function = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max}[value.function]
            gathered = function(this=column(value.value, facts))
            draft.outputs[value.name] = exp.Window(this=gathered, alias=identifier(name))
        return draft


def _join(table: exp.Table, on: exp.Expr, how: str) -> exp.Join:
    match how:
        case "asof":
            return exp.Join(this=table, on=on, method="ASOF")
        case "left" | "full":
            return exp.Join(this=table, on=on, side=how.upper())
        case _:
            return exp.Join(this=table, kind="CROSS") if isinstance(on, exp.Boolean) else exp.Join(this=table, on=on)


def _inline(tree: exp.Expr, outputs: Mapping[str, exp.Expr]) -> exp.Expr:
    """The tree with each named output replaced by what it is computed from, and what that makes idle left out."""

    if isinstance(tree, exp.Column):
        return tree if tree.table or tree.name not in outputs else outputs[tree.name]
    return simplify(substitute(tree, outputs))


def _conjuncts(predicates: list[exp.Expr]) -> list[exp.Expr]:
    different = predicates
    if len(predicates) > 1:
        kept: dict[exp.Expr, exp.Expr] = {}
        for predicate in predicates:
            kept.setdefault(comparable(predicate), predicate)
        different = list(kept.values())
    if len(different) == 1:
        return [copied(different[0])]
    return [exp.Paren(this=copied(p)) if isinstance(p, exp.Or) else copied(p) for p in different]


def _aliased(outputs: Mapping[str, exp.Expr]) -> list[exp.Expr]:
    """The outputs of a SELECT under their names, which a column that has its name need not be given."""
    return [
        copied(value)
        if isinstance(value, exp.Column) and value.name == name
        else exp.Alias(this=copied(value), alias=alias)
        for (name, value), alias in zip(outputs.items(), identifiers(outputs), strict=True)
    ]
