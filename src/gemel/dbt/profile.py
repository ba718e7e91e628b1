"""dbt's profiles.yml: the database in which a project's models are built.

The file is found and read as dbt does it. Only the requested profile and target are rendered, with `env_var`, because
variables of other targets may not be set.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemel.dbt.environment import Environment, find_setting, read_environment
from gemel.dbt.project_file import read_project_file, read_yaml
from gemel.dbt.variables import Vars
from gemel.errors import Place, ProjectError, did_you_mean
from gemel.spec.fields import object_or_empty


class NoProfileError(ProjectError):
    """There is no profiles.yml, or none with the project's profile (G604): nothing can be built or queried here."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target of one profile. `kind` is its `type`: duckdb, postgres …; `settings` are not rendered yet."""

    profile: str
    name: str
    kind: str
    settings: Mapping[str, Any]
    file: Path
    is_default: bool = True
    others: tuple["Target", ...] = ()
    vars: Vars = field(default_factory=dict)
    environment: Environment = field(default_factory=lambda: os.environ, repr=False)

    @property
    def place(self) -> str:
        """Where dbt builds by default, as one text: `duckdb gemel main`. Raises ProjectError (G604)."""
        return " ".join((self.kind, self.database or "", self.schema or ""))

    @property
    def database(self) -> str | None:
        """The database's name in SQL; None if the adapter has no databases, or another setting for them."""
        named = self._first("database", "dbname", "project", "catalog")
        return catalog_of(self._first("path") or ":memory:") if named is None and self.kind == "duckdb" else named

    @property
    def schema(self) -> str | None:
        return self._first("schema", "dataset") or ("main" if self.kind == "duckdb" else None)

    def _first(self, *keys: str) -> str | None:
        key = next((key for key in keys if self.settings.get(key)), None)
        return None if key is None else str(_render(self.settings[key], self.file, self.vars, self.environment))

    def render(self) -> dict[str, Any]:
        """Every setting, with its jinja rendered. Raises ProjectError (G604)."""
        return {key: _render(value, self.file, self.vars, self.environment) for key, value in self.settings.items()}

    def find_variable(self, key: str) -> str | None:
        """The environment variable that a setting reads; None if it reads none."""
        match = re.search(r"""env_var\(\s*['"](\w+)['"]""", str(self.settings.get(key, "")))
        return match[1] if match else None


def read_target(
    project_dir: Path, *, target: str | None = None, profiles_dir: str | None = None, vars: Vars | None = None
) -> Target:
    """A target in profiles.yml: `target`, or the profile's default. Raises ProjectError (G604).

    `vars` are those of `--vars`: dbt's profile may use these, and no others.
    """
    given, environment = vars or {}, read_environment(project_dir)
    project = read_project_file(project_dir)
    file = find_profiles(project_dir, profiles_dir)
    profiles = read_yaml(file)
    name = _render(find_setting(environment, "PROFILE") or project.get("profile"), file, given, environment)
    if not isinstance(name, str):
        raise ProjectError(
            "G604", "dbt_project.yml names no profile", hint="add a line `profile: <a name in profiles.yml>`"
        )
    names = [key for key in profiles if key != "config"]
    if not isinstance(profiles.get(name), dict):
        raise NoProfileError(
            "G604",
            f"no profile is named {name!r}",
            place=Place(str(file)),
            hint=did_you_mean(name, names) or f"it has {', '.join(names) or 'none'}",
        )
    outputs = object_or_empty(profiles[name], "outputs")
    how = (file, given, environment)
    default = str(_render(find_setting(environment, "TARGET") or profiles[name].get("target") or "default", *how))
    chosen = target or default
    if not isinstance(outputs.get(chosen), dict):
        raise ProjectError(
            "G604",
            f"profile {name!r} has no target named {chosen!r}",
            place=Place(str(file)),
            hint=did_you_mean(chosen, outputs) or f"it has {', '.join(outputs) or 'none'}",
        )
    kind = str(_render(outputs[chosen].get("type"), *how))
    others = tuple(
        Target(name, other, str(written.get("type")), written, file, other == default, (), given, environment)
        for other, written in outputs.items()
        if other != chosen and isinstance(written, dict)
    )
    return Target(name, chosen, kind, outputs[chosen], file, chosen == default, others, given, environment)


def find_profiles(project_dir: Path, profiles_dir: str | None = None) -> Path:
    """The profiles.yml that dbt would use: in `profiles_dir`, DBT_PROFILES_DIR, the project, the current directory or
    ~/.dbt."""
    folder = profiles_dir or find_setting(read_environment(project_dir), "PROFILES_DIR")
    places = [Path(folder).expanduser()] if folder else [project_dir, Path.cwd(), Path.home() / ".dbt"]
    for place in places:
        if (place / "profiles.yml").is_file():
            return place / "profiles.yml"
    raise NoProfileError(
        "G604",
        f"there is no profiles.yml in {' or '.join(str(place) for place in dict.fromkeys(places))}",
        hint="pass its directory with --profiles-dir, or a database file with --database",
    )


def catalog_of(path: str) -> str:
    """The name that DuckDB gives a database file: `gemel` for `build/gemel.duckdb`, `a` for `a.b.duckdb`."""
    return "memory" if path == ":memory:" else Path(path).name.split(".")[0]


def _render(value: Any, file: Path, vars: Vars, variables: Environment) -> Any:
    """A value with the jinja in all of its texts rendered."""
    if isinstance(value, dict):
        return {key: _render(each, file, vars, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_render(each, file, vars, variables) for each in value]
    if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
        return value
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined)
    for cast in ("as_bool", "as_native", "as_number", "as_text"):
        environment.filters[cast] = lambda rendered: rendered

    def env_var(name: str, default: str | None = None) -> str:
        value = variables.get(name, default)
        if value is None:
            raise _MissingVariable(f"the environment variable {name} is not set")
        return str(value)

    def var(name: str, default: Any = None) -> Any:
        value = vars.get(name, default)
        if value is None:
            raise _MissingVariable(f"the variable {name} is not given: --vars '{{{name}: …}}'")
        return value

    try:
        return environment.from_string(value).render(env_var=env_var, var=var, target=None)
    except (jinja2.TemplateError, _MissingVariable) as error:
        raise ProjectError("G604", f"cannot render {value!r}: {error}", place=Place(str(file))) from None


class _MissingVariable(Exception):
    pass
