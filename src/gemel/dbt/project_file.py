"""dbt_project.yml: a project's name, its folders and its variables."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gemel.dbt.variables import Variables, Vars
from gemel.errors import Place, ProjectError, reason_of
from gemel.spec.fields import object_or_empty
from gemel.spec.functions import WarehouseFunction
from gemel.spec.limits import Limits, parse_limits
from gemel.spec.places import Places, yaml_under
from gemel.spec.zones import find_zone

PROJECT_FILE = "dbt_project.yml"
"""The file that makes a folder a dbt project."""


def find_project(path: Path) -> Path | None:
    """The nearest directory at or above `path` that holds a dbt project."""
    start = path.resolve()
    return next((each for each in (start, *start.parents) if is_project(each)), None)


def is_project(folder: Path) -> bool:
    return (folder / PROJECT_FILE).is_file()


def read_project_file(project_dir: Path) -> dict[str, Any]:
    """The content of dbt_project.yml. Raises ProjectError (G601, G604)."""
    return read_yaml(project_dir / PROJECT_FILE)


def read_project_name(project_dir: Path | None) -> str:
    """The project's name: the folder's name if dbt_project.yml has none, and `project` without a folder.

    Raises ProjectError (G601, G604).
    """
    return str(read_project_file(project_dir).get("name") or project_dir.name) if project_dir else "project"


def read_variables(project_dir: Path, given: Vars | None = None) -> Variables:
    """The `vars` of dbt_project.yml, and those that are `given` with --vars. Raises ProjectError."""
    return Variables(object_or_empty(read_project_file(project_dir), "vars"), given)


def _read_own(project_dir: Path, given: Vars | None) -> Mapping[str, Any]:
    """`vars: gemel:`; empty if dbt_project.yml cannot be read. `--vars '{gemel: …}'` replaces it, as for dbt."""
    written = object_or_empty(_try_to_read(project_dir) or {}, "vars")
    return object_or_empty(Variables(written, given), "gemel")


def read_timezone(project_dir: Path, given: Vars | None = None) -> str | None:
    """`vars: gemel: timezone` of dbt_project.yml; None if it is not there. Raises ProjectError (G604) for another value
    than the name of a time zone."""
    named = _read_own(project_dir, given).get("timezone")
    if named is None or (isinstance(named, str) and find_zone(named)):
        return named
    message = f"`vars: gemel: timezone` must be the name of a time zone, not {named!r}"
    raise ProjectError("G604", message, hint="such as Europe/Berlin", place=_line_of(project_dir, "timezone"))


def read_functions(project_dir: Path, given: Vars | None = None) -> tuple[WarehouseFunction, ...]:
    """`vars: gemel: functions` of dbt_project.yml: signatures, or objects with `signature`, `calls` and `description`.

    Raises ProjectError (G604).
    """
    named = _read_own(project_dir, given).get("functions") or []
    place = _line_of(project_dir, "functions") if named else None
    functions = []
    for each in named if isinstance(named, list) else [named]:
        keys = {"signature": each} if isinstance(each, str) else each
        if not isinstance(keys, dict) or not {"signature"} <= keys.keys() <= {"signature", "calls", "description"}:
            message = f"`vars: gemel: functions` must be a list of signatures, not {str(each)[:80]!r}"
            hint = "such as `initials(value text) -> text`, or an object with signature, calls and description"
            raise ProjectError("G604", message, hint=hint, place=place)
        parts = {key: str(value) for key, value in keys.items() if value is not None}
        functions.append(WarehouseFunction(**parts, place=place))
    return tuple(functions)


def read_limits(project_dir: Path, given: Vars | None = None) -> Limits:
    """`vars: gemel: limits:` of dbt_project.yml. Raises ProjectError (G604) for one that is not a limit."""
    written = _read_own(project_dir, given).get("limits")
    try:
        if written is not None and not isinstance(written, dict):
            raise ValueError(f"must be an object, not {written!r}")
        return parse_limits(written or {})
    except ValueError as error:
        message = f"`vars: gemel: limits:` in dbt_project.yml: {error}"
        raise ProjectError("G604", message, place=_line_of(project_dir, "limits")) from None


def _line_of(project_dir: Path, key: str) -> Place:
    file = project_dir / PROJECT_FILE
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    return Place(str(file), next((number for number, line in lines if line.strip().startswith(f"{key}:")), None))


def read_paths(project_dir: Path, kind: str) -> list[str]:
    """The folders of a kind of file (`model`, `test`, `macro` …): dbt's default unless dbt_project.yml names others.

    None at all if dbt_project.yml cannot be read.
    """
    written = _try_to_read(project_dir)
    folders = written.get(f"{kind}-paths") if written is not None else []
    default = "analyses" if kind == "analysis" else f"{kind}s"
    return [str(path) for path in folders] if isinstance(folders, list) else [default]


def find_packages(project_dir: Path) -> Path:
    """The folder into which `dbt deps` installs packages."""
    path = (_try_to_read(project_dir) or {}).get("packages-install-path")
    return project_dir / (path if isinstance(path, str) and not Path(path).is_absolute() else "dbt_packages")


def read_target_path(project_dir: Path) -> str:
    """The folder into which dbt writes its artifacts, unless the environment names another."""
    path = (_try_to_read(project_dir) or {}).get("target-path")
    return path if isinstance(path, str) and path and "{{" not in path else "target"


def list_yaml_files(project_dir: Path) -> list[Path]:
    """Every YAML file with definitions for dbt: under the model paths, and in installed packages."""
    return [file for root in _model_roots(project_dir) for file in yaml_under(root)]


def list_yaml_folders(project_dir: Path) -> Iterator[Path]:
    """Every folder in which such a file is, or can be."""
    return (Path(folder) for root in _model_roots(project_dir) for folder, _, _ in os.walk(root))


def _model_roots(project_dir: Path) -> Iterator[Path]:
    roots = [project_dir, *sorted(find_packages(project_dir).glob("*"))]
    return (root / path for root in roots for path in read_paths(root, "model"))


def locate_definitions(project_dir: Path) -> Places:
    """The places of the project's definitions in its YAML."""
    return Places(project_dir, lambda: list_yaml_files(project_dir))


def _try_to_read(project_dir: Path) -> dict[str, Any] | None:
    """The content of dbt_project.yml; None if it cannot be read, which dbt itself will report."""
    try:
        return read_project_file(project_dir)
    except ProjectError:
        return None


def read_yaml(file: Path) -> dict[str, Any]:
    """The object in a YAML file. Raises ProjectError (G601, G604) for any other content."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
    except FileNotFoundError:
        raise ProjectError(
            "G601", f"there is no {file}", hint="run this in a dbt project, or pass --project-dir"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError("G604", f"cannot read the file: {reason_of(error)}", place=Place(str(file))) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(str(file), mark.line + 1, mark.column + 1) if mark else Place(str(file))
        raise ProjectError("G604", f"not YAML: {getattr(error, 'problem', None) or error}", place=place) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ProjectError("G604", "the file must hold keys and values", place=Place(str(file)))
    return content
