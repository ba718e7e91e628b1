"""Metrics as leaves (one aggregate each) and formulas over them, for the keys and the span of time of one query."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from gemel.compiler.names.entities import readings
from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.instants import has_instants, on_clocks
from gemel.compiler.names.keys import apply_key, make_key, make_keys
from gemel.compiler.names.terms import (
    Converted,
    Formula,
    Key,
    Leaf,
    PerEntity,
    Predicate,
    Shifted,
    Span,
    Term,
    Trailing,
)
from gemel.compiler.names.unknown import check_plain_names
from gemel.compiler.names.unreachable import unreachable
from gemel.compiler.question.expressions import ONE_EXPRESSION, Refused, column, divide
from gemel.compiler.question.own import comparable
from gemel.compiler.question.query import Item, MetricItem
from gemel.errors import About, DefinitionError, GemelError, QueryError, UnknownNameError, did_you_mean
from gemel.spec.manifest import Entity
from gemel.spec.metrics import Conversion, Cumulative, Derived, Measure, Metric, MetricInput, PeriodAgg, Ratio, Simple
from gemel.spec.time import Window, coarsest


@dataclass(frozen=True, slots=True)
class FilterText:
    """The text of a filter, and whether it comes from outside the metric that it is applied to.

    `asked` is the dialect to write it for if it is in the closed language; None if it is in the project's own words.
    `about` is the definition that it is of.
    """

    text: str
    outer: bool
    asked: str | None = None
    about: About | None = field(default=None, compare=False)


Filters = tuple[FilterText, ...]

LARGEST = 1_000
"""How many aggregates and formulas a metric may consist of, counting each as often as it is used."""
DEEPEST = 60
"""How many levels of metrics may use each other, as inputs or in filters."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the terms of one query share: its keys, its span of time, its metrics.

    `terms` are those made so far for this scope and for scopes derived from it; a value is None while its term is
    being made. `weights` are the weights of terms by identity, each with its term, which keeps the identity in use.
    """

    graph: Graph
    keys: tuple[Key, ...]
    span: Span | None
    metrics: Sequence[Metric]
    terms: dict[object, Term | None] = field(default_factory=dict, compare=False, repr=False)
    weights: dict[int, tuple[Term, int]] = field(default_factory=dict, compare=False, repr=False)

    def term(self, metric: Metric, filters: Filters) -> Term:
        """A metric with the filters of everything above it. A term is made once, however often it is used."""
        place = (metric.name, filters, self.keys, self.span, tuple(each.name for each in self.metrics))
        if place in self.terms:
            return self._finished(metric, self.terms[place])
        self.graph.measures(metric)  # refuses a circle
        if sum(term is None for term in self.terms.values()) >= DEEPEST:
            raise _too_large(metric, f"uses metrics more than {DEEPEST} levels deep")
        self.terms[place] = None
        term = self._make_term(metric, filters)
        if self._weight(term) > LARGEST:  # too large for the stages after this
            raise _too_large(metric, f"consists of more than {LARGEST:,} aggregates and formulas")
        self.terms[place] = term
        return term

    def _finished(self, metric: Metric, term: Term | None) -> Term:
        if term is None:
            raise DefinitionError(
                "G102",
                f"metric {metric.name!r} is filtered by itself",
                hint="the metric of a Metric(...) filter must not use this one",
                about=About("metric", metric.name),
            )
        return term

    def _weight(self, term: Term) -> int:
        """How many aggregates and formulas a term consists of, counting each as often as it is used."""
        if id(term) not in self.weights:
            self.weights[id(term)] = term, 1 + sum(times * self._weight(inner) for inner, times in term.inner)
        return self.weights[id(term)][1]

    def _make_term(self, metric: Metric, filters: Filters) -> Term:
        match metric.definition:
            case Simple() as simple:
                return self._leaf(metric, simple, (*_own(metric, metric.filters), *filters))
            case Ratio(numerator, denominator):
                above = (*_outer(metric, metric.filters), *filters)
                quotient = divide(column("numerator"), column("denominator"))
                sides = (("numerator", numerator), ("denominator", denominator))
                return Formula(quotient, tuple((side, self._input(metric, used, above)) for side, used in sides))
            case Derived(expr, used):
                return self._derived(metric, expr, used, (*_outer(metric, metric.filters), *filters))
            case Cumulative() as cumulative:
                return self._cumulative(metric, cumulative, (*_outer(metric, metric.filters), *filters))
            case Conversion() as conversion:
                return self._conversion(metric, conversion, (*_own(metric, metric.filters), *filters))

    def _input(self, metric: Metric, used: MetricInput, filters: Filters) -> Term:
        inner = self.graph.input_metric(used, by=metric.name)
        filters = (*_outer(metric, used.filters), *filters)
        if used.moved:
            return self._shifted(metric, used, inner, filters)
        return self.term(inner, filters)

    def _simple(self, metric: Metric, used: MetricInput, does: str, hint: str) -> Metric:
        """An input whose facts are counted, not its value."""
        inner = self.graph.input_metric(used, by=metric.name)
        if inner.definition.measure is None:
            raise DefinitionError(
                "G107",
                f"{metric.type} metric {metric.name!r} {does} {inner.name!r}, which is {_a(inner.type)} metric",
                hint=hint,
                about=About("metric", metric.name),
            )
        return inner

    def _derived(self, metric: Metric, expr: str, used: tuple[MetricInput, ...], filters: Filters) -> Formula:
        about = About("metric", metric.name)
        try:
            tree = self.graph.texts.formula(expr, [item.handle for item in used], about).copy()
        except Refused as refused:
            message = f"the expr of metric {metric.name!r}: {refused}"
            raise DefinitionError("G105", message, hint=ONE_EXPRESSION, about=about) from None
        handles = {item.handle.lower(): item for item in used}
        for node in tree.find_all(exp.Column):
            if node.table or node.name.lower() not in handles:
                raise DefinitionError(
                    "G106",
                    f"the expr of metric {metric.name!r} names {node.sql()!r}, which is not one of its input metrics",
                    hint=did_you_mean(node.name, handles) or f"its inputs are {', '.join(handles)}",
                    about=about,
                )
            node.set("this", exp.to_identifier(node.name.lower()))
        return Formula(tree, tuple((handle, self._input(metric, item, filters)) for handle, item in handles.items()))

    def _leaf(self, metric: Metric, simple: Simple, filters: Filters) -> Leaf:
        measure = simple.measure
        time = Attribute(measure.model, (), self.graph.time_dimension(measure))
        leaf = Leaf(
            measure,
            time,
            tuple((key, self._operand(metric, measure, key.metric or key)) for key in self.keys),
            _distinct([self._predicate(metric, measure, filter_text) for filter_text in filters]),
            span=self.span,
            fill=simple.fill_nulls_with,
        )
        return replace(leaf, spine=simple.join_to_timespine and bool(leaf.times))

    def _cumulative(self, metric: Metric, cumulative: Cumulative, filters: Filters) -> Term:
        hint = "accumulate a simple metric, and compute from the accumulated ones"
        inner = self._simple(metric, cumulative.input, "accumulates", hint)
        leaf = self.term(inner, (*_outer(metric, cumulative.input.filters), *filters))
        assert isinstance(leaf, Leaf)
        return self.trailing(metric, leaf, cumulative.window, cumulative.grain_to_date, cumulative.period_agg)

    def trailing(
        self, metric: Metric, leaf: Leaf, window: Window | None, grain_to_date: str | None, period_agg: PeriodAgg
    ) -> Leaf | Trailing:
        if leaf.times:
            return Trailing(leaf, window, grain_to_date, period_agg)
        if window or grain_to_date:
            raise self._needs_time(metric, f"is accumulated over {window or f'the {grain_to_date} to date'}")
        # Over all time up to the end of the span: a plain total.
        end = self.span.end if self.span else None
        return replace(leaf, span=Span(None, end) if end else None, spine=False)

    def _shifted(self, metric: Metric, used: MetricInput, inner: Metric, filters: Filters) -> Shifted:
        """The input as it was at another time. Filters on time apply to the time shown, others to the other time."""
        measure = self.graph.measures(inner)[0]
        time = self.graph.time_dimension(measure)
        bounds: list[Predicate] = []
        after: list[Predicate] = []
        down: list[FilterText] = []
        for filter_text in filters:
            predicate = self._predicate(metric, measure, filter_text)
            of_time = [isinstance(o, Attribute) and not o.hops and o.element == time for o in predicate.operands]
            if not any(of_time):
                down.append(filter_text)
            elif all(of_time):
                bounds.append(predicate)
            else:
                after.append(self._of_keys(metric, used, predicate))
        unmoved = replace(self, span=None)
        term = unmoved.term(inner, tuple(down))
        times = term.times
        if not times:
            raise self._needs_time(metric, f"uses {used.name!r} at another time")
        offset, to_grain = used.offset_window, used.offset_to_grain
        names = metric.name, used.name
        return Shifted(term, self.keys, times, offset, to_grain, tuple(bounds), tuple(after), self.span, *names)

    def _of_keys(self, metric: Metric, used: MetricInput, predicate: Predicate) -> Predicate:
        """A filter on time and other things, above a shift: it can only refer to group-by items."""
        missing = [key.name for key in predicate.keys if key not in self.keys]
        if missing or len(predicate.keys) < len(predicate.operands):
            raise QueryError(
                "G320",
                f"metric {metric.name!r} uses {used.name!r} at another time, and the filter "
                f"{predicate.template.text.strip()!r} applies after that, when only the group-by items are left",
                hint=f"group by {', '.join(missing)} too, or split the filter" if missing else "split the filter",
            )
        return predicate

    def _conversion(self, metric: Metric, conversion: Conversion, filters: Filters) -> Formula:
        sides = (conversion.base, conversion.conversion)
        first, second = (
            self._simple(metric, used, "counts", "both sides of a conversion are simple metrics") for used in sides
        )
        base = self.term(first, (*_own(metric, conversion.base.filters), *filters))
        nowhere = replace(self, keys=(), span=None)
        turned = nowhere.term(second, _outer(metric, conversion.conversion.filters))
        assert isinstance(base, Leaf) and isinstance(turned, Leaf)
        pairs = [(conversion.entity, conversion.entity), *conversion.constant_properties]
        converted = Converted(
            replace(base, spine=False),
            turned,
            tuple(
                same
                for left, right in pairs
                for same in zip(self._property(metric, base, left), self._property(metric, turned, right), strict=True)
            ),
            coarsest([self.graph.time_dimension(leaf.measure).grain or "day" for leaf in (base, turned)]),
            conversion.window,
        )
        value: exp.Expr = column("conversion")
        if conversion.calculation == "conversion_rate":
            value = divide(value, column("base"))
        return Formula(value, (("base", base), ("conversion", converted)))

    def _property(self, metric: Metric, leaf: Leaf, name: str) -> tuple[Attribute, ...]:
        """An entity or a local dimension of an event, by its bare name or with its entity in front. A composite
        entity gives each of its components."""
        model = leaf.measure.model
        local = self.graph.entity(model, name) or self.graph.dimension(model, name)
        if local is not None:
            found: Attribute | None = Attribute(model, (), local, grain=getattr(local, "grain", None))
        else:
            found = self.graph.attribute(model, tuple(name.split("__")))
        if found is None:
            available = [e.name for e in self.graph.models[model].entities]
            available += [d.name for d in self.graph.models[model].dimensions]
            raise DefinitionError(
                "G108",
                f"{metric.type} metric {metric.name!r} needs {name!r}, which semantic model {model!r} does not have",
                hint=did_you_mean(name, available),
                about=About("metric", metric.name),
            )
        names = self.graph.composites.get(found.element.name, ()) if isinstance(found.element, Entity) else ()
        return tuple(replace(found, component=place) for place in range(len(names))) or (found,)

    def _needs_time(self, metric: Metric, why: str) -> QueryError:
        return QueryError(
            "G319",
            f"metric {metric.name!r} {why}, so the query needs a time",
            hint="group by metric_time",
            about=About("metric", metric.name),
        )

    def _attribute(self, metric: Metric, measure: Measure, key: Key) -> Attribute:
        if key.is_metric_time:
            found: Attribute | None = Attribute(measure.model, (), self.graph.time_dimension(measure))
        else:
            found = self.graph.attribute(measure.model, key.segments)
        if found is None:
            raise unreachable(self.graph, metric, measure, key)
        return apply_key(self.graph, found, key)

    def _predicate(self, metric: Metric, measure: Measure, filter_text: FilterText) -> Predicate:
        try:
            return self._make_predicate(metric, measure, filter_text)
        except GemelError as error:
            error.about = error.about or filter_text.about
            raise

    def _make_predicate(self, metric: Metric, measure: Measure, filter_text: FilterText) -> Predicate:
        if filter_text.asked is None:
            template = self.graph.texts.filter(filter_text.text, filter_text.about)
        else:
            template = self.graph.texts.asked(filter_text.text, filter_text.asked)
            check_plain_names(self.graph, template, self.metrics)
        references = [
            make_key(self.graph, each, self.metrics) if isinstance(each, Item) else each for each in template.references
        ]
        operands = tuple(self._operand(metric, measure, each) for each in references)
        if filter_text.asked is not None and has_instants(template):
            times = [number for number, each in enumerate(operands) if isinstance(each, Attribute) and each.is_moment]
            template = on_clocks(template, times, self.graph.timezone)
        keys = tuple(each for each in references if isinstance(each, Key))
        return Predicate(template, operands, keys, filter_text.outer)

    def _operand(self, metric: Metric, measure: Measure, reference: Key | MetricItem) -> Attribute | PerEntity:
        if isinstance(reference, MetricItem):
            return per_entity(self, reference, lambda key: self._attribute(metric, measure, key))
        return self._attribute(metric, measure, reference)


def _distinct(predicates: Iterable[Predicate]) -> tuple[Predicate, ...]:
    """Each predicate once, also if it is both a definition's text and a question's tree."""
    kept: dict[object, Predicate] = {}
    for each in predicates:
        kept.setdefault((comparable(each.template.tree), each.operands, each.keys, each.outer), each)
    return tuple(kept.values())


def per_entity(scope: Scope, reference: MetricItem, attribute_of: Callable[[Key], Attribute]) -> PerEntity:
    """A metric for each entity. `attribute_of` gives the attribute of an entity in the rows that look it up."""
    inner = scope.graph.metric(reference.metric)
    if not reference.group_by:
        raise QueryError(
            "G311",
            f"Metric({reference.metric!r}) needs the entities that it is computed for",
            hint=f"write Metric({reference.metric!r}, group_by=['entity'])",
        )
    keys = make_keys(scope.graph, reference.group_by, [inner])
    term = replace(scope, keys=keys, span=None, metrics=[inner]).term(inner, ())
    return PerEntity(inner.name, term, keys, tuple(_in_rows(scope.graph, inner, key, attribute_of) for key in keys))


def _in_rows(graph: Graph, inner: Metric, key: Key, attribute_of: Callable[[Key], Attribute]) -> Attribute:
    """The attribute of an entity in the rows that look up a metric of it. Raises the error about its whole path if the
    rows have it under no name."""
    *shortened, whole = readings(graph, inner, key.segments)
    for segments in shortened:
        try:
            return attribute_of(replace(key, segments=segments))
        except (QueryError, UnknownNameError) as error:
            if error.code not in ("G202", "G305", "G306", "G333", "G334"):
                raise
    return attribute_of(replace(key, segments=whole))


def _too_large(metric: Metric, why: str) -> QueryError:
    return QueryError(
        "G341",
        f"metric {metric.name!r} {why}",
        hint="a metric that uses another one twice doubles at each level; use fewer levels",
        about=About("metric", metric.name),
    )


def _outer(metric: Metric, texts: tuple[str, ...]) -> Filters:
    return tuple(FilterText(text, outer=True, about=About("metric", metric.name)) for text in texts)


def _own(metric: Metric, texts: tuple[str, ...]) -> Filters:
    return tuple(FilterText(text, outer=False, about=About("metric", metric.name)) for text in texts)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
