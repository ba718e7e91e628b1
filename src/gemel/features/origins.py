"""Of which dbt target the rows are that lie outside the warehouse: in a table's Parquet copy, and online.

Targets share both places, and rows of two of them side by side would be a mixture that nobody asked for.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.dbt.profile import Target
from gemel.errors import BridgeError, GemelError, WarehouseError
from gemel.features.bound import BoundView
from gemel.run import open_empty

NOTE = "gemel_target: '{{ target.name }}', gemel_relation: '{{ this }}'"
"""What dbt writes into a Parquet copy, as DuckDB's KV_METADATA."""

_WHERE = ("type", "path", "host", "port", "dbname", "database", "account", "project", "catalog")


@dataclass(frozen=True, slots=True)
class Origin:
    """A dbt target by its name, and the table that it builds, as dbt writes it: `"shop"."main"."buying"`."""

    target: str
    relation: str

    def __str__(self) -> str:
        return f"target {self.target!r} ({self.relation})"

    def json(self) -> dict[str, str]:
        return asdict(self)

    @staticmethod
    def parse(kept: object) -> "Origin | None":
        match kept:
            case {"target": str(target), "relation": str(relation)}:
                return Origin(target, relation)
            case _:
                return None


def read_origin(file: Path) -> Origin | None:
    """Of a Parquet copy; None where it does not say."""
    metadata = exp.Anonymous(this="parquet_kv_metadata", expressions=[exp.Literal.string(str(file))])
    query = exp.select("key", "value").from_(exp.Table(this=metadata))
    found: dict[str, str] = {}
    with suppress(WarehouseError), open_empty() as empty:
        rows = empty.rows(compile_select(query, empty.dialect))
        found = {bytes(key).decode(): bytes(value).decode() for key, value in rows}
    return Origin.parse({"target": found.get("gemel_target"), "relation": found.get("gemel_relation")})


class Origins:
    """What rows are to be of: our target of the profile, and the tables of its views by name, as far as known."""

    def __init__(self, target: Target | None, relations: Mapping[str, str]) -> None:
        self._target = target
        self._relations = relations

    def of(self, view: BoundView) -> Origin | None:
        """None where no profile says the target, or dbt not the table."""
        relation = self._relations.get(view.name)
        return Origin(self._target.name, relation) if self._target and relation else None

    def check_copy(self, view: BoundView, file: Path) -> None:
        """Raises BridgeError (G536) for a Parquet copy that dbt wrote for another target."""
        ours, theirs = self.of(view), read_origin(file)
        if not self._may_be(ours, theirs):
            raise BridgeError(
                "G536",
                f"the Parquet copy of {view.name!r} was written for {theirs}, not for {ours}",
                hint="targets share feature_views/data/: run `gemel build` to write it for this target, or name the "
                "other target with --target",
                place=view.place,
            )

    def check_online(self, view: BoundView, theirs: Origin | None) -> None:
        """Raises BridgeError (G565) for a view whose rows online are `theirs`, of another target."""
        ours = self.of(view)
        if not self._may_be(ours, theirs):
            raise BridgeError(
                "G565",
                f"the online rows of {view.name!r} were written for {theirs}, not for {ours}",
                hint="run `gemel features materialize` to replace them, or name the other target with --target. To "
                "have both online, let feature_store.yaml name its store by a ${VARIABLE}",
                place=view.place,
            )

    def _may_be(self, ours: Origin | None, theirs: Origin | None) -> bool:
        """Whether both are one table: two names of one target may say so. Of what does not say, nobody knows."""
        if ours is None or theirs is None or self._target is None or ours == theirs:
            return True
        named = [each for each in self._target.others if each.name == theirs.target]
        return ours.relation == theirs.relation and any(_where(each) == _where(self._target) for each in named)


def _where(target: Target) -> Mapping[str, Any]:
    with suppress(GemelError):
        rendered = target.render()
        return {key: rendered.get(key) for key in _WHERE}
    return {"unknown": target.name}
