"""Bind on-demand views to the feature views they use: resolve the names of every expression, or say what is wrong."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gemel.compiler.question.expressions import Refused
from gemel.errors import BridgeError, GemelError, did_you_mean
from gemel.on_demand.grammar import Parsed, Ungrammatical, parse
from gemel.spec.feature_views import FeatureView, OnDemandFeature, OnDemandView, values_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundOnDemand(OnDemandView):
    """An on-demand view whose names are resolved: `parsed` expressions, and the columns used from each feature view."""

    parsed: tuple[Parsed, ...]
    sources: tuple[tuple[str, tuple[str, ...]], ...]

    def expressions(self) -> Iterator[tuple[OnDemandFeature, Parsed]]:
        return zip(self.features, self.parsed, strict=True)


def bind_on_demand(
    view: OnDemandView, views: Mapping[str, FeatureView], unread: Collection[str], problems: list[GemelError]
) -> BoundOnDemand | None:
    """The bound view, or None after adding its problems to `problems` (G503, G564, G590, G591).

    `views` are the feature views it may use. Views in `unread` have problems themselves: any feature of them passes.
    """
    before = len(problems)
    parsed: list[tuple[OnDemandFeature, Parsed]] = []
    for feature in view.features:
        try:
            parsed.append((feature, parse(feature.expr)))
        except Refused as refused:
            hint = refused.hint if isinstance(refused, Ungrammatical) else None
            problems.append(BridgeError("G590", f"feature {feature.name!r}: {refused}", hint=hint, place=feature.place))
    for feature, each in parsed:
        problems.extend(_unknown(view, feature, each, views, unread))
    if len(problems) == before:
        names = dict.fromkeys(name for _, each in parsed for name in each.names)
        problems.extend(_misplaced(view, names, views))
    if len(problems) > before:
        return None
    columns_by_source: dict[str, list[str]] = {}
    for name in names:
        source, dot, column = name.partition(".")
        if dot:
            columns_by_source.setdefault(source, []).append(column)
    return BoundOnDemand(
        **values_of(view),
        parsed=tuple(each for _, each in parsed),
        sources=tuple((name, tuple(columns)) for name, columns in columns_by_source.items()),
    )


def _unknown(
    view: OnDemandView,
    feature: OnDemandFeature,
    parsed: Parsed,
    views: Mapping[str, FeatureView],
    unread: Collection[str],
) -> Iterator[GemelError]:
    inputs = [name for name, _ in view.inputs]
    features = [
        f"{name}.{each}" for name, source in views.items() if name not in unread for each in source.feature_names
    ]
    for name in parsed.names:
        source = name.partition(".")[0]
        if name in inputs or name in features or (source != name and source in unread):
            continue
        homes = [each for each in features if each.endswith(f".{name}")]
        near = f"did you mean {' or '.join(homes)}?" if homes else did_you_mean(name, [*inputs, *features])
        what = "a feature of a view" if source != name else f"an input of {view.name!r}"
        yield BridgeError(
            "G591",
            f"feature {feature.name!r} uses {name!r}, which is not {what}",
            hint=near or f"the inputs of {view.name!r} are {', '.join(inputs)}; a feature is written view.feature",
            place=feature.place,
        )


def _misplaced(view: OnDemandView, names: Mapping[str, None], views: Mapping[str, FeatureView]) -> Iterator[GemelError]:
    """Problems with names that Feast would confuse, unused inputs, and views that Feast cannot serve."""
    used = [name.partition(".") for name in names if "." in name]
    entities = {entity for source, _, _ in used for entity in views[source].entities}
    columns = {form: f"{source}.{column}" for source, _, column in used for form in (column, f"{source}__{column}")}
    for name, _ in view.inputs:
        if name not in names:
            yield BridgeError(
                "G591",
                f"input {name!r} of {view.name!r} is used by no feature",
                hint="remove it: every request would have to bring it",
                place=view.place,
            )
    for name in (*(name for name, _ in view.inputs), *(feature.name for feature in view.features)):
        other = f"entity {name!r}" if name in entities else columns.get(name)
        if other:
            yield BridgeError(
                "G503",
                f"{name!r} of {view.name!r} has the name of {other}, which it uses too, and Feast has one of a name",
                hint="give it another name",
                place=view.place,
            )
    for source in dict.fromkeys(source for source, _, _ in used):
        if not views[source].online:
            yield BridgeError(
                "G564",
                f"{view.name!r} takes from {source!r}, which is not online",
                hint=f"remove `online: false` from {source!r}",
                place=view.place,
            )
