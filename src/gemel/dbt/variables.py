"""dbt's variables: those of dbt_project.yml, and those of `--vars`, which come before them."""

import hashlib
from collections.abc import Mapping
from typing import Any

from gemel.errors import ProjectError

Vars = Mapping[str, Any]
"""Variables by name, with YAML's values."""

OF_ONE_RUN = frozenset({"gemel_from", "gemel_to"})
"""Variables with which gemel has one run of dbt rebuild a range of rows. They define nothing."""


class Variables(dict[str, Any]):
    """The variables of a project; those of a package are an object under its name. `given` are those of `--vars`."""

    def __init__(self, written: Vars, given: Vars | None = None) -> None:
        super().__init__({**written, **(given or {})})
        self.given: Vars = given or {}

    def of(self, package: str) -> dict[str, Any]:
        """What `var()` finds in a package: `--vars`, then the package's own, then the project's."""
        own = self.get(package)
        return {**self, **(own if isinstance(own, dict) else {}), **self.given}


def parse_vars(written: object) -> dict[str, Any] | None:
    """`--vars`, as dbt reads it: an object in YAML or JSON, or a mapping. Raises ProjectError (G610)."""
    if written is None:
        return None
    content: object = written
    if isinstance(written, str):
        import yaml

        try:
            content = yaml.load(written, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or error
            raise ProjectError("G610", f"--vars is not YAML: {problem}", hint=_HINT) from None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ProjectError("G610", f"--vars must be an object, not {str(content)[:80]!r}", hint=_HINT)
    return {str(name): value for name, value in content.items()}


_HINT = "write it as for dbt: --vars '{region: north, days: 7}'"


def write_vars(values: Vars) -> str:
    """Variables as one line of YAML. Equal variables have equal lines."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    try:
        text = yaml.dump(dict(values), Dumper=dumper, default_flow_style=True, sort_keys=True, width=10**9)
    except yaml.YAMLError as error:
        raise ProjectError("G610", f"--vars has a value that YAML does not know: {error}", hint=_HINT) from None
    return str(text).strip()


def digest_vars(values: Vars) -> str:
    return hashlib.sha256(write_vars(values).encode()).hexdigest()[:12]
