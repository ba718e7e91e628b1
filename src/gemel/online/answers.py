"""Answers to online requests: features of the online store, and on-demand features computed from them and from the
inputs of the request."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gemel.errors import BridgeError
from gemel.features.selection import Choice, Chosen
from gemel.on_demand.computing import Computed, compute
from gemel.online.reading import OnlineRow, combine, is_null, parse_integer
from gemel.online.store import StoredRow
from gemel.spec.time import duration

Find = Callable[[Sequence[Chosen], Sequence[Mapping[str, Any]]], Sequence[Sequence[StoredRow | None]]]
"""Looks up the features of each view that are online for each entity."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a name stands for, decided once for many reads.

    `needed` are the features to look up, and `computed` those to compute on demand. Each row must have the
    `keys` and `inputs`.
    """

    name: str
    tables: tuple[tuple[Chosen, dt.timedelta | None], ...]
    needed: tuple[Chosen, ...]
    computed: tuple[tuple[Computed, tuple[str, ...]], ...]
    keys: tuple[str, ...]
    inputs: Mapping[str, str]


def prepare(name: str, choice: Choice, types: Mapping[str, Mapping[str, str]]) -> Request:
    """Raises Problems (G592)."""
    return Request(
        name,
        tuple((each, _ttl(each)) for each in choice.tables),
        choice.needed(),
        tuple((compute(view, types), names) for view, names in choice.on_demand),
        tuple(choice.entities()),
        choice.inputs(),
    )


def answer(request: Request, rows: Sequence[Mapping[str, Any]], find: Find) -> list[OnlineRow | None]:
    """The features for each row of keys and inputs; None if nothing is online and nothing is computed on demand.

    Raises BridgeError (G535).
    """
    _check(request, rows)
    inputs = {each: [read_input(row[each], type_, each) for row in rows] for each, type_ in request.inputs.items()}
    found = find(request.needed, rows)
    if not request.computed:
        answers = combine([(ttl, table.columns) for table, ttl in request.tables], found, len(rows))
        return [each if any(theirs) else None for each, theirs in zip(answers, zip(*found, strict=True), strict=True)]
    stored = {each.view.name: theirs for each, theirs in zip(request.needed, found, strict=True)}

    def rows_of(tables: Sequence[tuple[Chosen, dt.timedelta | None]]) -> list[OnlineRow]:
        names = [(ttl, table.columns) for table, ttl in tables]
        return combine(names, [stored[table.view.name] for table, _ in tables], len(rows))

    answers = rows_of(request.tables)
    sources = {each.view.name: rows_of([(each, _ttl(each))]) for each in request.needed}
    for view, names in request.computed:
        _add(answers, view, names, inputs, sources)
    return list(answers)


def mark_outdated(request: Request, answers: Sequence[OnlineRow | None], views: Collection[str]) -> None:
    """Mark the features of these views as computed from another definition, and on-demand features that use them."""
    names = [name for each, _ in request.tables if each.view.name in views for name in each.columns]
    for computed, own in request.computed:
        names += own if any(source in views for source, _ in computed.view.sources) else ()
    for row in answers:
        if row is not None:
            row.outdated += names


def _check(request: Request, rows: Sequence[Mapping[str, Any]]) -> None:
    name, required = request.name, (*request.keys, *request.inputs)
    if isinstance(rows, str) or not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        example = ", ".join(f'"{each}": ...' for each in required)
        kind = "one mapping" if isinstance(rows, Mapping) else repr(rows)[:80]
        message = f"{name!r} must be looked up by a list of mappings, not by {kind}"
        raise BridgeError("G535", message, hint=f"[{{{example}}}]")
    expected = {*required}
    for row in rows:
        if row.keys() != expected:
            raise BridgeError(
                "G535",
                f"{name!r} must be looked up by {', '.join(required)}, not by {', '.join(row) or 'nothing'}",
                hint="give each once: " + " ".join(f"{each}=..." for each in required),
            )


def _ttl(chosen: Chosen) -> dt.timedelta | None:
    return duration(chosen.view.ttl) if chosen.view.ttl else None


def _add(
    answers: Sequence[OnlineRow],
    computed: Computed,
    names: Sequence[str],
    inputs: Mapping[str, Sequence[Any]],
    sources: Mapping[str, Sequence[OnlineRow]],
) -> None:
    """Add on-demand features. Each is as old as the oldest feature it is computed from, and stale if one of them is."""
    columns = dict(inputs)
    for source, features in computed.view.sources:
        columns |= {f"{source}.{name}": [row.values[name] for row in sources[source]] for name in features}
    values = computed.values({name: columns[name] for name in computed.references()})
    for name in names:
        used = computed.uses(name)
        for place, row in enumerate(answers):
            row.values[name] = values[name][place]
            theirs = [(sources[view][place], feature) for view, feature in used]
            moments = [each.moments[feature] for each, feature in theirs if feature in each.moments]
            if moments:
                row.moments[name] = min(moments)
            if any(feature in each.stale for each, feature in theirs):
                row.stale.append(name)


_TYPES = {"int64": "an integer", "float64": "a number", "string": "a string", "bool": "true or false"}


def read_input(value: Any, type_: str, name: str) -> Any:
    """An input as a value of its type. Other types may be strings too, and NULL an empty string. Raises G535."""
    if isinstance(value, str) and type_ == "int64" and value:
        return parse_integer(value, 64, f"input {name!r}")
    if is_null(value) or (value == "" and type_ != "string"):
        return None
    try:
        match type_, value:
            case ("string", str()) | ("bool", bool()) | ("timestamp", dt.date()):
                return value
            case ("bool", "true" | "false"):
                return value == "true"
            case ("int64", int()) if not isinstance(value, bool):
                return parse_integer(value, 64, f"input {name!r}")
            case ("float64", int() | float() | str()) if not isinstance(value, bool) and "_" not in str(value):
                return float(value)
            case ("timestamp", str()):
                return dt.datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        pass
    kind = _TYPES.get(type_, "a time such as 2024-01-31 12:00:00")
    raise BridgeError("G535", f"input {name!r} must be {kind}, not {value!r}")
