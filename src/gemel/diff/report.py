"""A comparison as tables, JSON and Markdown: what changed, and by how much numbers moved."""

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import METRIC_TIME
from gemel.compiler.question.query import Item, Query, QueryMetric
from gemel.diff.meaning import Change
from gemel.diff.numbers import QUANTILES, Moved
from gemel.diff.states import State
from gemel.errors import GemelError
from gemel.spec.fields import format_count
from gemel.text_tables import markdown

Row = tuple[Any, ...]

CHANGES = ("change", "kind", "name", "why")
NUMBERS = ("kind", "name", "groups", "moved", "appeared", "gone", "largest", "relative", "where")
CAUSES = 2
"""The number of causes that a table shows."""


@dataclass(frozen=True, slots=True)
class Text:
    """Two texts of a definition, as a unified diff."""

    kind: str
    name: str
    before: str
    after: str

    @property
    def lines(self) -> list[str]:
        old, new = (text.splitlines() for text in (self.before, self.after))
        return list(difflib.unified_diff(old, new, "before", "after", n=3, lineterm=""))


def change_rows(changes: Sequence[Change]) -> list[Row]:
    return [(each.how, each.kind, each.name, why(each)) for each in changes]


def why(change: Change) -> str:
    """`metric late_departures <- model flights (is_late_departure)`"""
    if change.how in ("added", "removed"):
        word = "removed" if change.how == "added" else "added"
        return f"same meaning as {word} {', '.join(change.same_as)}" if change.same_as else ""
    own = f"{change.kind} {change.name}"
    causes = [" <- ".join(_own(part, own) for part in way) for way in change.causes]
    more = f" and {len(causes) - CAUSES} more" if len(causes) > CAUSES else ""
    return "; ".join(causes[:CAUSES]) + more


def _own(part: str, own: str) -> str:
    """A part without the name of the changed definition itself: `its own definition`, or the columns of a model."""
    if part == own:
        return "its own definition"
    return part.removeprefix(f"{own} ").strip("()") if part.startswith(f"{own} (") else part


def number_rows(numbers: Sequence[Moved]) -> list[Row]:
    return [
        (
            *(each.kind, each.name),
            *((None,) * 4 if each.why else (each.groups, each.moved, each.appeared, each.gone)),
            "" if each.largest is None else _short(each.largest),
            _percent(each.relative),
            each.why or (example(each, 0) if each.examples else ""),
        )
        for each in numbers
    ]


def example(moved: Moved, place: int) -> str:
    """`UA, 2013-08-30: 0.6667 -> 0.3333`"""
    one = moved.examples[place]
    group = ", ".join(_short(value) for value in one.group)
    values = f"{_short(one.before)} -> {_short(one.after)}"
    return f"{group}: {values}" if group else values


def excess(moved: Moved, allowed: float) -> str:
    """`metric late_rate moves by up to 58.8%, more than 1%: 2013-12-23: 0.4595 -> 0.3133`"""
    if moved.why:
        return f"{moved.kind} {moved.name} could not be compared: {moved.why}"
    ways = [] if moved.relative is None else [f"by up to {_percent(moved.relative)}"]
    if moved.unscaled:
        ways.append(f"by no share of its value in {format_count(moved.unscaled, 'group')}")
    if one := moved.appeared + moved.gone:
        ways.append(f"from or to no value in {format_count(one, 'group')}")
    message = f"{moved.kind} {moved.name} moves {' and '.join(ways)}, more than {allowed * 100:.4g}%"
    return message + (f" ({example(moved, 0)})" if moved.examples else "")


def quantile_row(moved: Moved) -> tuple[tuple[str, ...], Row]:
    names = ["least", *(f"{share:.0%}" for share in QUANTILES[1:-1]), "greatest", "mean"]
    return tuple(names), (*moved.quantiles, moved.mean)


def summary(changes: Sequence[Change]) -> str:
    """`1 changed, 24 touched: 7 metrics, 3 saved queries …`"""
    if not changes:
        return "no definition changed"
    how = Counter[str](each.how for each in changes)
    counts = [f"{how[word]} {word}" for word in ("added", "removed", "changed", "touched") if how[word]]
    if how["description"]:
        counts.append(f"{how['description']} in description only")
    return ", ".join(counts)


def with_models(changes: Sequence[Change], everything: Sequence[Change]) -> list[Change]:
    """Changes, and the changed models among their causes."""
    named = {part.split(" (")[0] for each in changes for way in each.causes for part in way}
    more = [each for each in everything if each not in changes and f"{each.kind} {each.name}" in named]
    return [*changes, *(each for each in more if each.kind in ("model", "snapshot"))]


def texts(before: State, after: State, changes: Sequence[Change]) -> Iterator[Text]:
    """The SQL of each metric and dbt model with a different text."""
    for change in changes:
        if change.how not in ("changed", "touched"):
            continue
        pair = [_text(state, change) for state in (before, after)]
        if None not in pair and pair[0] != pair[1]:
            yield Text(change.kind, change.name, str(pair[0]), str(pair[1]))


def _text(state: State, change: Change) -> str | None:
    if change.kind in ("model", "snapshot"):
        return next((node.raw for node in state.dbt.nodes.values() if node.unique_name == change.name), None)
    if change.kind != "metric":
        return None
    query = Query(metrics=(QueryMetric(change.name),), group_by=(Item((METRIC_TIME,)),))
    try:
        return compile_query(state.session.graph, query, Context.naming(state.session.dialect)).sql
    except GemelError as error:
        return str(error)


def as_json(
    before: State, after: State, changes: Sequence[Change], numbers: Sequence[Moved], sql: Sequence[Text]
) -> dict[str, Any]:
    return {
        "base": before.name,
        "current": after.name,
        "notes": [*before.notes, *after.notes],
        "changes": [
            {
                "change": each.how,
                "kind": each.kind,
                "name": each.name,
                "causes": [list(way) for way in each.causes],
                "same_as": list(each.same_as),
                "place": str(each.place) if each.place else None,
            }
            for each in changes
        ],
        "numbers": [_moved(each) for each in numbers],
        "sql": [{"kind": t.kind, "name": t.name, "before": t.before, "after": t.after} for t in sql],
    }


def _moved(moved: Moved) -> dict[str, Any]:
    values = {
        "kind": moved.kind,
        "name": moved.name,
        "group_by": list(moved.keys),
        "groups": moved.groups,
        "moved": moved.moved,
        "appeared": moved.appeared,
        "gone": moved.gone,
        "unscaled": moved.unscaled,
        "largest": _json_number(moved.largest),
        "relative": _json_number(moved.relative),
        "mean": _json_number(moved.mean),
        "quantiles": {
            str(share): _json_number(value) for share, value in zip(QUANTILES, moved.quantiles, strict=False)
        },
        "examples": [
            {
                "group": dict(zip(moved.keys, each.group, strict=True)),
                "before": _json_number(each.before),
                "after": _json_number(each.after),
                "difference": each.difference,
                "relative": each.relative,
            }
            for each in moved.examples
        ],
    }
    return values if moved.why is None else {"kind": moved.kind, "name": moved.name, "why": moved.why}


def _json_number(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are the texts `nan`, `inf` and `-inf`."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_markdown(
    before: State, after: State, changes: Sequence[Change], numbers: Sequence[Moved], sql: Sequence[Text]
) -> Iterator[str]:
    """A comment for a pull request: the changes, then numbers, then SQL in a folded section."""
    yield f"### gemel diff: {before.name} → {after.name}"
    yield ""
    yield f"{summary(changes).capitalize()}."
    for note in (*before.notes, *after.notes):
        yield f"*{note}*"
    own = [each for each in changes if each.how != "touched"]
    touched = [each for each in changes if each.how == "touched"]
    for title, group in (("", own), ("Touched", touched)):
        if group:
            yield from ("", *([f"**{title}**", ""] if title else []))
            yield from _table(CHANGES, change_rows(group))
    if numbers:
        yield from ("", "**Numbers**", "", *_table(NUMBERS, number_rows(numbers)))
    for text in sql:
        yield from ("", f"<details><summary>SQL of {text.kind} <code>{text.name}</code></summary>", "", "```diff")
        yield from text.lines
        yield from ("```", "", "</details>")


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """Rows whose last column is a text, with names as code."""
    name = columns.index("name")
    return markdown(columns, [(*row[:name], f"`{row[name]}`", *row[name + 1 : -1], _cell(row[-1])) for row in rows])


def _cell(text: str) -> str:
    return text.replace("<-", "←").replace("->", "→").replace("<", "&lt;")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _short(value: Any) -> str:
    """A number of few digits; a midnight without its time."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value).removesuffix(" 00:00:00")
