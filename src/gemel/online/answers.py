"""What is served for requests: the features that are online, and those computed of them and of what requests bring."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gemel.errors import BridgeError
from gemel.features.selection import Choice, Chosen
from gemel.on_demand.computing import Computed, compute
from gemel.online.reading import OnlineRow, combine, whole
from gemel.online.store import Found
from gemel.spec.time import duration

Find = Callable[[Chosen, Sequence[Mapping[str, Any]]], Sequence[Found | None]]
"""What is online of a view for each of some entities."""


def answer(
    name: str, choice: Choice, types: Mapping[str, Mapping[str, str]], rows: Sequence[Mapping[str, Any]], find: Find
) -> list[OnlineRow | None]:
    """An answer for each row of keys and inputs; None where nothing is online, and nothing is computed on demand.

    `name` is what was asked for, to be told. Raises BridgeError (G535) and Problems (G592).
    """
    needed, inputs = choice.needed(), choice.inputs()
    computed = [compute(view, types) for view, _ in choice.on_demand]
    _check(name, [*choice.entities(), *inputs], rows)
    brought = {each: [given(row[each], type_, each) for row in rows] for each, type_ in inputs.items()}
    found = {
        each.view.name: find(each, [{key: row[key] for key in each.view.entities} for row in rows]) for each in needed
    }

    def rows_of(tables: Sequence[Chosen]) -> list[OnlineRow]:
        return combine([(_ttl(t), t.columns) for t in tables], [found[t.view.name] for t in tables], len(rows))

    answers = rows_of(choice.tables)
    if not computed:
        known = [any(each[place] is not None for each in found.values()) for place in range(len(rows))]
        return [each if here else None for each, here in zip(answers, known, strict=True)]
    sources = {each.view.name: rows_of([each]) for each in needed}
    for view, (_, names) in zip(computed, choice.on_demand, strict=True):
        _add(answers, view, names, brought, sources)
    return list(answers)


def _check(name: str, wanted: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    if isinstance(rows, str) or not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        like = ", ".join(f'"{each}": ...' for each in wanted)
        told = "one mapping" if isinstance(rows, Mapping) else repr(rows)[:80]
        raise BridgeError("G535", f"{name!r} is looked up by a list of mappings, not by {told}", hint=f"[{{{like}}}]")
    for row in rows:
        if row.keys() != {*wanted}:
            raise BridgeError(
                "G535",
                f"{name!r} is looked up by {', '.join(wanted)}, and {', '.join(row) or 'nothing'} is given",
                hint="give each once: " + " ".join(f"{each}=..." for each in wanted),
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
    """A feature is as old as the oldest that it is computed of, and stale if one of them is."""
    columns = dict(inputs)
    for source, features in computed.view.sources:
        columns |= {f"{source}.{name}": [row.values[name] for row in sources[source]] for name in features}
    values = computed.values({name: columns[name] for name in computed.taken()})
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


_TOLD = {"int64": "an integer", "float64": "a number", "string": "a text", "bool": "true or false"}


def given(value: Any, type_: str, name: str) -> Any:
    """An input as its type is. What is no text may be given as one, and NULL as an empty one. Raises G535."""
    if isinstance(value, str) and type_ == "int64" and value:
        return whole(value, 64, f"input {name!r}")
    if value is None or (value == "" and type_ != "string"):
        return None
    try:
        match type_, value:
            case ("string", str()) | ("bool", bool()) | ("timestamp", dt.date()):
                return value
            case ("bool", "true" | "false"):
                return value == "true"
            case ("int64", int()) if not isinstance(value, bool):
                return whole(value, 64, f"input {name!r}")
            case ("float64", int() | float() | str()) if not isinstance(value, bool) and "_" not in str(value):
                return float(value)
            case ("timestamp", str()):
                return dt.datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        pass
    told = _TOLD.get(type_, "a time such as 2024-01-31 12:00:00")
    raise BridgeError("G535", f"input {name!r} is {told}, not {value!r}")
