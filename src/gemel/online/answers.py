"""Answers to online requests: features of the online store, and on-demand features computed from them and from the
inputs of the request."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gemel.errors import BridgeError
from gemel.features.selection import Choice, Chosen
from gemel.on_demand.computing import Computed, compute
from gemel.online.reading import OnlineRow, combine, is_null, parse_integer
from gemel.online.store import StoredRow
from gemel.spec.time import duration

Find = Callable[[Chosen, Sequence[Mapping[str, Any]]], Sequence[StoredRow | None]]
"""Looks up the features of a view that are online for each entity."""


def answer(
    name: str, choice: Choice, types: Mapping[str, Mapping[str, str]], rows: Sequence[Mapping[str, Any]], find: Find
) -> list[OnlineRow | None]:
    """The features for each row of keys and inputs; None if nothing is online and nothing is computed on demand.

    `name` is the name in the request, for messages. Raises BridgeError (G535) and Problems (G592).
    """
    needed, inputs = choice.needed(), choice.inputs()
    computed = [compute(view, types) for view, _ in choice.on_demand]
    _check(name, [*choice.entities(), *inputs], rows)
    input_columns = {each: [read_input(row[each], type_, each) for row in rows] for each, type_ in inputs.items()}
    stored = {
        each.view.name: find(each, [{key: row[key] for key in each.view.entities} for row in rows]) for each in needed
    }

    def rows_of(tables: Sequence[Chosen]) -> list[OnlineRow]:
        return combine([(_ttl(t), t.columns) for t in tables], [stored[t.view.name] for t in tables], len(rows))

    answers = rows_of(choice.tables)
    if not computed:
        is_stored = [any(each[place] is not None for each in stored.values()) for place in range(len(rows))]
        return [each if is_here else None for each, is_here in zip(answers, is_stored, strict=True)]
    sources = {each.view.name: rows_of([each]) for each in needed}
    for view, (_, names) in zip(computed, choice.on_demand, strict=True):
        _add(answers, view, names, input_columns, sources)
    return list(answers)


def _check(name: str, required: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    if isinstance(rows, str) or not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        example = ", ".join(f'"{each}": ...' for each in required)
        kind = "one mapping" if isinstance(rows, Mapping) else repr(rows)[:80]
        message = f"{name!r} must be looked up by a list of mappings, not by {kind}"
        raise BridgeError("G535", message, hint=f"[{{{example}}}]")
    for row in rows:
        if row.keys() != {*required}:
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
