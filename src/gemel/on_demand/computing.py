"""On-demand views with the types of their inputs and features: their computation, as SQL and as Python."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gemel.compiler.question.expressions import Refused, column
from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError, GemelError, Problems
from gemel.on_demand.binding import BoundOnDemand
from gemel.on_demand.grammar import type_expression
from gemel.on_demand.python import function_of, key
from gemel.on_demand.sql import sql_of
from gemel.on_demand.terms import Reference, Type, Typed, walk
from gemel.spec.feature_views import OnDemandFeature

_WIDE: Mapping[str, str] = {"int32": "int64", "float32": "float64"}


@dataclass(frozen=True, slots=True)
class Computed:
    """An on-demand view and the term of each of its features."""

    view: BoundOnDemand
    terms: Mapping[str, Typed]

    @property
    def name(self) -> str:
        return self.view.name

    def types(self) -> dict[str, str]:
        return {name: term.type for name, term in self.terms.items()}

    def python(self, name: str) -> str:
        """The text of a function of this name, from columns to columns."""
        return function_of(name, self.terms, {feature.name: feature.expr for feature in self.view.features})

    def values(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The features of rows, computed by the same Python that Feast runs.

        `columns` holds inputs by their names, and features as `view.feature`.
        """
        namespace: dict[str, Any] = {}
        exec(self.python("computed"), namespace)
        values_by_feature = namespace["computed"]({key(name): values for name, values in columns.items()})
        return cast("dict[str, list[Any]]", values_by_feature)

    def references(self) -> list[str]:
        """The inputs, and features as `view.feature`, that the expressions use."""
        return list(dict.fromkeys(name for parsed in self.view.parsed for name in parsed.names))

    def uses(self, feature: str) -> list[tuple[str, str]]:
        """The (view, feature) pairs that one of these features uses."""
        parsed = next(parsed for each, parsed in self.view.expressions() if each.name == feature)
        return [(view, name) for view, dot, name in (each.partition(".") for each in parsed.names) if dot]

    def digest(self, sources: Mapping[str, str], feature: str | None = None) -> str:
        """Twelve hex digits that change with the computation; `sources` are the digests of the features it uses."""
        terms = {feature: self.terms[feature]} if feature else self.terms
        references = {each for term in terms.values() for each in walk(term) if isinstance(each, Reference)}
        texts = {name: sql_of(term, lambda each: column(each.name)).sql(DIALECT) for name, term in terms.items()}
        texts |= {each.name: f"{each.type} {sources.get(each.name, '')}" for each in references}
        return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:12]


def compute_all(views: Iterable[BoundOnDemand], types: Mapping[str, Mapping[str, str]]) -> list[Computed]:
    """Raises Problems (G592) with the problems of all views."""
    computed, problems = [], list[GemelError]()
    for view in views:
        try:
            computed.append(compute(view, types))
        except Problems as wrong:
            problems += wrong.errors
    if problems:
        raise Problems(problems)
    return computed


def compute(view: BoundOnDemand, types: Mapping[str, Mapping[str, str]]) -> Computed:
    """`types` are the types of every feature view's columns. Raises Problems (G592)."""
    names: dict[str, Type] = {name: cast(Type, type_) for name, type_ in view.inputs}
    for source, columns in view.sources:
        for name in columns:
            type_ = types[source][name]
            names[f"{source}.{name}"] = cast(Type, _WIDE.get(type_, type_))
    terms: dict[str, Typed] = {}
    problems: list[GemelError] = []
    for feature, parsed in view.expressions():
        try:
            terms[feature.name] = type_expression(parsed, names, cast("Type | None", feature.dtype))
        except Refused as refused:
            problems.append(_mistyped(feature, refused))
    if problems:
        raise Problems(problems)
    return Computed(view, terms)


def _mistyped(feature: OnDemandFeature, refused: Refused) -> GemelError:
    return BridgeError("G592", f"feature {feature.name!r}: {refused}", place=feature.place)
