"""The dbt target of rows outside the warehouse: in the Parquet copy of a table, and online.

Targets share both places, and rows of two targets must not be mixed.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp

from gemel.builds.records import Build
from gemel.compiler.compiled import compile_select
from gemel.dbt.profile import Target
from gemel.errors import BridgeError, GemelError, WarehouseError
from gemel.features.bound import BoundView
from gemel.run import open_empty

NOTE = "gemel_target: '{{ target.name }}', gemel_relation: '{{ this }}'"
"""The metadata that dbt writes into a Parquet copy, as DuckDB's KV_METADATA."""

_WHERE = ("type", "path", "host", "port", "dbname", "database", "account", "project", "catalog")


@dataclass(frozen=True, slots=True)
class Origin:
    """The name of a dbt target, and the table that it builds, as dbt writes it: `"shop"."main"."buying"`."""

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


def read_copy(file: Path) -> tuple[Origin | None, Build | None]:
    """The origin of a Parquet copy and what built it; None of what the file does not have."""
    metadata = exp.Anonymous(this="parquet_kv_metadata", expressions=[exp.Literal.string(str(file))])
    query = exp.select("key", "value").from_(exp.Table(this=metadata))
    values: dict[str, str] = {}
    with suppress(WarehouseError), open_empty() as empty:
        rows = empty.rows(compile_select(query, empty.dialect))
        values = {bytes(key).decode(): bytes(value).decode() for key, value in rows}
    origin = Origin.parse({"target": values.get("gemel_target"), "relation": values.get("gemel_relation")})
    return origin, Build.of_copy(values)


class Origins:
    """The origin that rows must have: the current target, and the tables of its views by name, as far as known."""

    def __init__(self, target: Target | None, relations: Mapping[str, str]) -> None:
        self._target = target
        self._relations = relations

    def of(self, view: BoundView) -> Origin | None:
        """None without a profile, or if dbt's manifest does not have the table."""
        relation = self._relations.get(view.name)
        return Origin(self._target.name, relation) if self._target and relation else None

    def check_copy(self, view: BoundView, file: Path) -> None:
        """Raises BridgeError (G536) for a Parquet copy that dbt wrote for another target."""
        ours, theirs = self.of(view), read_copy(file)[0]
        if not self._may_be_same(ours, theirs):
            raise BridgeError(
                "G536",
                f"the Parquet copy of {view.name!r} was written for {theirs}, not for {ours}",
                hint="targets share feature_views/data/: run `gemel build` to write it for this target, or name the "
                "other target with --target",
                place=view.place,
            )

    def check_online(self, view: BoundView, theirs: Origin | None) -> None:
        """Raises BridgeError (G565) if `theirs`, the origin of a view's online rows, is another target."""
        ours = self.of(view)
        if not self._may_be_same(ours, theirs):
            raise BridgeError(
                "G565",
                f"the online rows of {view.name!r} were written for {theirs}, not for {ours}",
                hint="run `gemel features materialize` to replace them, or name the other target with --target. To "
                "have both online, let feature_store.yaml name its store by a ${VARIABLE}",
                place=view.place,
            )

    def _may_be_same(self, ours: Origin | None, theirs: Origin | None) -> bool:
        """Whether both can be one table. Two targets can have the same settings, and an unknown origin can be any."""
        if ours is None or theirs is None or self._target is None or ours == theirs:
            return True
        named = [each for each in self._target.others if each.name == theirs.target]
        return ours.relation == theirs.relation and any(_where(each) == _where(self._target) for each in named)


def _where(target: Target) -> Mapping[str, Any]:
    with suppress(GemelError):
        rendered = target.render()
        return {key: rendered.get(key) for key in _WHERE}
    return {"unknown": target.name}
