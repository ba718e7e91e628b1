"""dbt_project.yml: what a project is called, where its files are, and its variables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gemel.errors import Place, ProjectError
from gemel.spec.fields import object_or_empty
from gemel.spec.places import Places, yaml_under

PROJECT_FILE = "dbt_project.yml"
"""The file that makes a folder a dbt project."""


def find_project(path: Path) -> Path | None:
    """The nearest directory at or above `path` that holds a dbt project."""
    start = path.resolve()
    return next((each for each in (start, *start.parents) if is_project(each)), None)


def is_project(folder: Path) -> bool:
    return (folder / PROJECT_FILE).is_file()


def read_project_file(project_dir: Path) -> dict[str, Any]:
    """Everything that dbt_project.yml says. Raises ProjectError (G601, G604)."""
    return read_yaml(project_dir / PROJECT_FILE)


def project_name(project_dir: Path | None) -> str:
    """What dbt calls the project: the folder's name where dbt_project.yml does not name it, `project` without a folder.

    Raises ProjectError (G601, G604).
    """
    return str(read_project_file(project_dir).get("name") or project_dir.name) if project_dir else "project"


def variables(project_dir: Path) -> Mapping[str, Any]:
    """The `vars` of dbt_project.yml; those of one package are an object by its name. Raises ProjectError."""
    return object_or_empty(read_project_file(project_dir), "vars")


def paths(project_dir: Path, kind: str) -> list[str]:
    """The folders of `model`, `test`, `macro`…: dbt's own default where dbt_project.yml names none.

    There are none where it cannot be read.
    """
    written = _readable(project_dir)
    folders = written.get(f"{kind}-paths") if written is not None else []
    default = "analyses" if kind == "analysis" else f"{kind}s"
    return [str(path) for path in folders] if isinstance(folders, list) else [default]


def packages_dir(project_dir: Path) -> Path:
    """Where `dbt deps` installs packages."""
    path = (_readable(project_dir) or {}).get("packages-install-path")
    return project_dir / (path if isinstance(path, str) and not Path(path).is_absolute() else "dbt_packages")


def target_path(project_dir: Path) -> str:
    """Where dbt writes its artifacts, unless the environment says otherwise."""
    path = (_readable(project_dir) or {}).get("target-path")
    return path if isinstance(path, str) and path and "{{" not in path else "target"


def yaml_files(project_dir: Path) -> list[Path]:
    """Every YAML file that dbt reads definitions from: under the model paths, and in installed packages."""
    roots = [project_dir, *sorted(packages_dir(project_dir).glob("*"))]
    return [file for root in roots for path in paths(root, "model") for file in yaml_under(root / path)]


def places(project_dir: Path) -> Places:
    """Where the project's definitions stand in its YAML."""
    return Places(project_dir, lambda: yaml_files(project_dir))


def _readable(project_dir: Path) -> dict[str, Any] | None:
    """None where dbt_project.yml cannot be read: dbt itself tells what is wrong with it."""
    try:
        return read_project_file(project_dir)
    except ProjectError:
        return None


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML file that must hold an object; ProjectError (G601, G604) for anything else."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
    except FileNotFoundError:
        raise ProjectError(
            "G601", f"there is no {file}", hint="run it in a dbt project, or use --project-dir"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError("G604", f"cannot read it: {error}", place=Place(str(file))) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(str(file), mark.line + 1, mark.column + 1) if mark else Place(str(file))
        raise ProjectError("G604", f"not YAML: {getattr(error, 'problem', None) or error}", place=place) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ProjectError("G604", "it should hold keys and values", place=Place(str(file)))
    return content
