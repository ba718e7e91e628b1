"""Why an answer of MetricFlow's may differ from ours: the cases of docs/differences.md, as conditions on a question.

A difference that none of these explains is a bug of somebody's.
"""

import re
from collections.abc import Callable, Iterator

from gemel.spec.manifest import Manifest
from gemel.spec.metrics import Conversion, Cumulative, Metric, MetricInput, Simple
from worlds.questions import Asker, Question

REFUSED_ON_PURPOSE = {"G313", "G320", "G324"}


def explain(question: Question, asker: Asker) -> str | None:
    """The name of the first case that applies."""
    return next((name for name, applies in CASES.items() if applies(question, Look(question, asker))), None)


class Look:
    """What a question touches."""

    def __init__(self, question: Question, asker: Asker) -> None:
        self.manifest: Manifest = asker.manifest
        self.metrics = {metric.name: metric for metric in self.manifest.metrics}
        self.models = {model.name: model for model in self.manifest.models}
        self.parts = [part for name in question.metrics for part in self.walk(self.metrics[name], ())]
        self.filters = " ".join((*question.where, *(text for metric, _ in self.parts for text in metric.filters)))
        self.names = set(re.findall(r"\w+", " ".join((*question.group_by, self.filters))))
        reach = [asker.reach(model) for model in self.models.values()]
        self.times = [n for n in question.group_by if n.startswith("metric_time") or self.is_clock(n)]
        self.historical = {
            name
            for found in reach
            for name, (model, _) in found.items()
            if any(dimension.validity for dimension in model.dimensions)
        }

    def walk(self, metric: Metric, above: tuple[MetricInput, ...]) -> Iterator[tuple[Metric, tuple[MetricInput, ...]]]:
        """Every metric below one, with the inputs that led to it."""
        yield metric, above
        for used in metric.definition.inputs:
            yield from self.walk(self.metrics[used.name], (*above, used))

    def is_clock(self, name: str) -> bool:
        return any(
            isinstance(metric.definition, Simple) and f"__{metric.definition.measure.time_dimension}" in name
            for metric, _ in self.parts
        )

    def grain(self, metric: Metric) -> str:
        measure = metric.definition.measure
        return next(d.grain for d in self.models[measure.model].dimensions if d.name == measure.time_dimension)

    @property
    def offset(self) -> bool:
        return any(used.moved for _, above in self.parts for used in above)

    @property
    def cumulative(self) -> bool:
        return any(isinstance(metric.definition, Cumulative) for metric, _ in self.parts)


def last_day(question: Question, look: Look) -> bool:
    fine = any(isinstance(m.definition, Simple) and look.grain(m) in ("minute", "hour") for m, _ in look.parts)
    return fine and bool(question.end) and not any("hour" in time for time in look.times)


def history(question: Question, look: Look) -> bool:
    touched = any(name in text for name in look.historical for text in (*question.group_by, look.filters))
    paths = "store" in look.filters or any(name.split("__")[0] in look.filters for name in look.historical)
    return (touched or paths) and (look.offset or look.cumulative)


def far_history(question: Question, look: Look) -> bool:
    far = {name.rsplit("__", 1)[0] for name in look.historical if name.count("__") > 1}
    asked = any(name.startswith(path) for path in far for name in question.group_by)
    return asked or any("entity_path" in text for text in (*question.where, look.filters))


def filtered_input(question: Question, look: Look) -> bool:
    return any(
        (isinstance(m.definition, Cumulative) and m.definition.input.filters)
        or (isinstance(m.definition, Conversion) and m.definition.conversion.filters)
        for m, _ in look.parts
    )


def nested_offset(question: Question, look: Look) -> bool:
    above = any(used.moved and look.metrics[used.name].definition.inputs for _, chain in look.parts for used in chain)
    return above and bool(look.filters)


def cut_before_the_shift(question: Question, look: Look) -> bool:
    return look.cumulative and look.offset and bool(question.start or question.end)


def not_nested(question: Question, look: Look) -> bool:
    laid = any(isinstance(m.definition, Simple) and m.definition.join_to_timespine for m, _ in look.parts)
    return len(look.times) > 1 and (laid or look.offset or look.cumulative)


def not_whole(question: Question, look: Look) -> bool:
    windows = [used.offset_window for _, chain in look.parts for used in chain if used.offset_window]
    coarse = any(time.endswith(("__week", "__month", "__quarter", "__year")) for time in look.times)
    return coarse and any(window.unit in ("month", "quarter", "year") for window in windows)


def own_time_filter(question: Question, look: Look) -> bool:
    own = any("metric_time" in text or look.is_clock(text) for metric, _ in look.parts for text in metric.filters)
    return own and (look.offset or look.cumulative)


def mixed_filter(question: Question, look: Look) -> bool:
    mixed = any("metric_time" in text and text.count("{{") > 1 for text in question.where)
    return mixed and (look.offset or look.cumulative)


def every_later_day(question: Question, look: Look) -> bool:
    ever = any(isinstance(metric.definition, Cumulative) for metric, _ in look.parts) and not look.times
    by_time = any("metric_time" in text or look.is_clock(text) for text in (*question.where, look.filters))
    return ever and (by_time or bool(question.start))


def levels(question: Question, look: Look) -> bool:
    level = any(isinstance(m.definition, Simple) and m.definition.measure.non_additive for m, _ in look.parts)
    return level and look.cumulative


def levels_at_a_start(question: Question, look: Look) -> bool:
    return any(
        isinstance(metric.definition, Simple) and metric.definition.measure.non_additive and used.offset_to_grain
        for metric, chain in look.parts
        for used in chain
    )


def conversions_on_the_spine(question: Question, look: Look) -> bool:
    laid = any(isinstance(m.definition, Simple) and m.definition.join_to_timespine for m, _ in look.parts)
    return laid and any(isinstance(metric.definition, Conversion) for metric, _ in look.parts)


def ties(question: Question, look: Look) -> bool:
    return any(isinstance(metric.definition, Conversion) for metric, _ in look.parts) and bool(question.group_by)


def custom_offset(question: Question, look: Look) -> bool:
    custom = {name for spine in look.manifest.time_spines for name, _ in spine.custom}
    by = any(used.offset_window and used.offset_window.unit in custom for _, chain in look.parts for used in chain)
    return by or (look.offset and any(name in text for name in custom for text in question.group_by))


def moved_conversion(question: Question, look: Look) -> bool:
    return any(
        used.moved and isinstance(look.metrics[used.name].definition, Conversion)
        for _, chain in look.parts
        for used in chain
    )


def beside_itself(question: Question, look: Look) -> bool:
    names = [[used.handle for used in metric.definition.inputs] for metric, _ in look.parts if metric.definition.inputs]
    return not question.group_by and any(len(set(handles)) < len(handles) for handles in names)


CASES: dict[str, Callable[[Question, Look], bool]] = {
    "an offset of a conversion metric": moved_conversion,
    "a metric beside itself under a filter": beside_itself,
    "the last day of a constraint": last_day,
    "a history read at a moved moment": history,
    "a history two hops away": far_history,
    "a filter on a measure that is accumulated or converted to": filtered_input,
    "a filter above an offset of results": nested_offset,
    "an accumulation cut before its shift": cut_before_the_shift,
    "periods that do not nest": not_nested,
    "an offset that is not whole periods": not_whole,
    "a metric's own filter on time, and an offset": own_time_filter,
    "a filter on time and something else": mixed_filter,
    "offsets by custom periods": custom_offset,
    "an all-time metric filtered by time": every_later_day,
    "a level, accumulated": levels,
    "a level at the start of a period": levels_at_a_start,
    "conversions on the spine": conversions_on_the_spine,
    "base events at the same time": ties,
}
