"""The DuckDB files that a target of dbt-duckdb names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemel.dbt.profile import Target, catalog_of
from gemel.errors import Place, WarehouseError


@dataclass(frozen=True, slots=True)
class Attachment:
    """Another DuckDB file that the project reads, and the name that its SQL uses for it."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One target of one profile. `database` is the name of the file in SQL: `gemel` for gemel.duckdb. `folder` is that
    of the project, if it is not the current directory."""

    name: str
    target: str
    path: str
    database: str
    schema: str = "main"
    attach: tuple[Attachment, ...] = ()
    extensions: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    profiles_dir: str | None = None
    is_default_target: bool = True
    folder: str = ""

    @property
    def catalogs(self) -> frozenset[str]:
        """The database names that exist in a connection. A relation of any other database is named by its schema."""
        return frozenset({self.database, *(each.name for each in self.attach)})


def read_files(target: Target, project_dir: Path) -> Profile:
    """A target's DuckDB files. Raises WarehouseError (G404) for MotherDuck."""
    output, file = target.render(), target.file
    path = str(output.get("path") or ":memory:")
    if path.startswith(("md:", "motherduck:")):
        raise WarehouseError("G404", "gemel cannot query MotherDuck yet, only DuckDB files", place=Place(str(file)))
    attached = [each for each in _list(output.get("attach")) if isinstance(each, dict) and each.get("path")]
    settings = output.get("settings")
    return Profile(
        name=target.profile,
        target=target.name,
        path=path if path == ":memory:" else resolve_path(path, project_dir),
        database=str(output.get("database") or catalog_of(path)),
        schema=str(output.get("schema") or "main"),
        attach=tuple(
            Attachment(
                resolve_path(str(each["path"]), project_dir),
                str(each.get("alias") or catalog_of(str(each["path"]))),
            )
            for each in attached
        ),
        extensions=tuple(str(e.get("name") if isinstance(e, dict) else e) for e in _list(output.get("extensions"))),
        settings={str(key): str(value) for key, value in settings.items()} if isinstance(settings, dict) else {},
        profiles_dir=str(file.parent),
        is_default_target=target.is_default,
        folder=elsewhere(project_dir),
    )


def read_only(target: Target, project_dir: Path, file: str | Path | None) -> dict[str, Any]:
    """Settings of a target that let dbt only read: its file, or another one, is attached to a database in memory."""
    profile = read_files(target, project_dir)
    path = str(file or profile.path)
    if path == ":memory:" or not Path(path).is_file():
        return dict(target.settings)
    own = {"path": str(Path(path).resolve()), "alias": profile.database, "read_only": True}
    others = [{**each, "read_only": True} for each in target.settings.get("attach") or () if isinstance(each, dict)]
    return {**target.settings, "path": ":memory:", "database": profile.database, "attach": [own, *others]}


def elsewhere(project_dir: Path) -> str:
    """The project's folder, or "" if it is the current directory."""
    folder = os.path.realpath(project_dir)
    return "" if folder == os.path.realpath(".") else folder


def resolve_path(path: str, project_dir: Path) -> str:
    """A relative path starts at the project, where people run dbt; if no file is there, at the current directory."""
    if "://" in path:
        return path
    plain = Path(path).expanduser()
    beside = project_dir / plain
    return str(plain if not beside.exists() and plain.exists() else beside)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
