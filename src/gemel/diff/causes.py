"""Why a definition means something else: the ways from it down to what was changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gemel.diff.definitions import Definition
from gemel.diff.models import Models
from gemel.diff.telling import OWN, Part

_NAMED = ("metric", "feature", "feature view", "feature service", "saved query")
"""Parts that are definitions, through which a cause is told."""


@dataclass(slots=True)
class Causes:
    before: Models
    after: Models
    old: Mapping[Part, Definition]
    new: Mapping[Part, Definition]
    known: dict[Part, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    def of(self, part: Part) -> tuple[tuple[str, ...], ...]:
        """The ways from a definition down to what changed, the shortest to each."""
        if part not in self.known:
            self.known[part] = ()  # while it is being found: definitions in a circle
            found = {way[-1]: way for way in sorted(self._ways(part), key=len, reverse=True) if way}
            self.known[part] = tuple(sorted(found.values(), key=lambda way: (len(way), way)))
        return self.known[part]

    def _ways(self, part: Part) -> Iterator[tuple[str, ...]]:
        was, is_ = self.old[part], self.new[part]
        found = list(self._own_ways(part, was, is_))
        # What only one of them is made of, it is made of because something else changed.
        yield from found or self._ways_of(was, is_, [each for each in (*was.parts, *is_.parts) if each != OWN])

    def _own_ways(self, part: Part, was: Definition, is_: Definition) -> Iterator[tuple[str, ...]]:
        if was.parts.get(OWN) != is_.parts.get(OWN):
            yield (self._own(part, was, is_),)
        inner = {each for each in (*was.parts, *is_.parts) if each[0] in _NAMED}
        moved = sorted(each for each in inner if self._moved(each))
        for each in moved:
            yield from ((" ".join(each), *way) for way in self._below(each))
        explained = {each for one in moved for each in (*self._parts(self.old, one), *self._parts(self.new, one))}
        both = [each for each in was.parts if each in is_.parts and each not in inner | explained | {OWN}]
        measures = [each for each in (*was.parts, *is_.parts) if each[0] == "measure" and each not in explained]
        yield from self._ways_of(was, is_, [*both, *measures])

    def _ways_of(self, was: Definition, is_: Definition, parts: list[Part]) -> Iterator[tuple[str, ...]]:
        for each in dict.fromkeys(parts):
            if each[0] not in _NAMED and was.parts.get(each) != is_.parts.get(each):
                yield from self._part(each, was.parts.get(each), is_.parts.get(each))

    def _parts(self, states: Mapping[Part, Definition], part: Part) -> Mapping[Part, str]:
        return states[part].parts if part in states else {}

    def _moved(self, part: Part) -> bool:
        was, is_ = self.old.get(part), self.new.get(part)
        if part[0] == "feature view":  # whose features are not what another feature is made of
            return bool(was and is_ and was.parts.get(OWN) != is_.parts.get(OWN))
        return was is None or is_ is None or was.meaning != is_.meaning

    def _below(self, part: Part) -> tuple[tuple[str, ...], ...]:
        if part not in self.old or part not in self.new:
            return (("added" if part in self.new else "removed",),)
        ways = self.of(part)
        return tuple(way[1:] if len(way) == 1 and way[0].startswith(" ".join(part)) else way for way in ways) or ((),)

    def _own(self, part: Part, was: Definition, is_: Definition) -> str:
        kind, name = part
        if kind in ("model", "snapshot", "seed", "source"):
            return self._model(name)
        return f"{kind} {name}"

    def _part(self, part: Part, was: str | None, is_: str | None) -> Iterator[tuple[str, ...]]:
        kind, name = part
        match kind:
            case "column":
                yield from self._column(*name.rsplit(".", 1))
            case "rows":
                yield from self._rows(name)
            case "model" | "seed" | "snapshot" | "source" | "view":
                if part in self.old and part in self.new:
                    shown = " ".join(part)
                    yield from ((way if way[0].startswith(shown) else (shown, *way)) for way in self.of(part))
                else:
                    yield (f"{kind} {name} {'added' if part in self.new else 'removed'}",)
            case _:
                yield (f"{kind} {name}{_shown(was, is_)}",)

    def _model(self, name: str) -> str:
        """`model flights (is_late_departure)`: which columns its own text changes, or its rows."""
        before, after = self._ids(name)
        if not before or not after:
            return f"model {name} {'added' if after else 'removed'}"
        was, is_ = self.before.own(before), self.after.own(after)
        kind = self.after.nodes[after].kind
        if was.rows != is_.rows:
            return f"{kind} {name} (its rows)" if kind != "source" else f"source {name}"
        names = dict.fromkeys((*self.before.own_columns(before), *self.after.own_columns(after)))
        changed = [each for each in names if was.column(each) != is_.column(each)]
        shown = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        return f"{kind} {name} ({shown})" if changed else f"{kind} {name}"

    def _column(self, name: str, column: str) -> Iterator[tuple[str, ...]]:
        before, after = self._ids(name)
        if before and after and self.before.own(before).column(column) != self.after.own(after).column(column):
            yield (f"{self.after.nodes[after].kind} {name} ({column})",)
        else:
            yield from self._above(name, f"{column} of {name}")

    def _rows(self, name: str) -> Iterator[tuple[str, ...]]:
        before, after = self._ids(name)
        if before and after and self.before.own(before).rows != self.after.own(after).rows:
            yield (f"{self.after.nodes[after].kind} {name} (its rows)",)
        else:
            yield from self._above(name, f"rows of {name}")

    def _above(self, name: str, shown: str) -> Iterator[tuple[str, ...]]:
        """The nodes further up whose own text changed."""
        _, after = self._ids(name)
        nodes = self.after.nodes
        above = [nodes[id].name for id in self.after.above(after) if id in nodes] if after else []
        found = [each for each in above if each != name and self._is_changed(each)]
        if not found:
            yield (shown,)
        for each in found:
            yield shown, self._model(each)

    def _is_changed(self, name: str) -> bool:
        before, after = self._ids(name)
        if not before or not after:
            return True
        return self.before.own(before).whole != self.after.own(after).whole

    def _ids(self, name: str) -> tuple[str, str]:
        return tuple(  # type: ignore[return-value]
            next((id for id, node in models.nodes.items() if node.name == name), "")
            for models in (self.before, self.after)
        )


def _shown(was: str | None, is_: str | None) -> str:
    """`: sum a -> sum b`, where that is short."""
    if was is None or is_ is None:
        return " added" if was is None else " removed"
    return f": {was} -> {is_}" if len(was) + len(is_) <= 100 else ""
