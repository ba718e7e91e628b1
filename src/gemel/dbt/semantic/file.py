"""Reads the file semantic_manifest.json into a Manifest, and caches a large one."""

import json
from pathlib import Path

from gemel.dbt.semantic.cache import read_cache, write_cache
from gemel.dbt.semantic.reading import read_valid
from gemel.errors import GemelError, Place, ProjectError, reason_of
from gemel.spec.manifest import Manifest

SEMANTIC_MANIFEST = "semantic_manifest.json"
"""The file's name, in the folder of dbt's artifacts."""

WORTH_A_CACHE = 100_000
"""The size in bytes from which a manifest is cached: a few hundred metrics."""


def read_file(file: Path, cache: Path) -> tuple[Manifest, tuple[GemelError, ...]]:
    """A manifest's valid definitions, and the errors in the others. Raises ProjectError (G601, G602).

    A large manifest is cached in the folder `cache`.
    """
    cached = cache / "definitions.jsonl"
    try:
        content = file.read_bytes()
        manifest = read_cache(cached, content) if len(content) >= WORTH_A_CACHE else None
        if manifest is not None:
            return manifest, ()
        data = json.loads(content)
    except FileNotFoundError:
        raise ProjectError("G601", f"there is no {file}", hint="`dbt parse` writes it") from None
    except (OSError, UnicodeDecodeError) as error:
        hint = "pass a dbt project's target/semantic_manifest.json, which `dbt parse` writes"
        raise ProjectError("G602", f"cannot read {file}: {reason_of(error)}", hint=hint) from None
    except ValueError as error:
        raise ProjectError("G602", f"{file} is not JSON: {error}", hint="`dbt parse` rewrites it") from None
    try:
        manifest, problems = read_valid(data)
    except ProjectError as error:
        error.place = error.place or Place(str(file))
        raise
    if len(content) >= WORTH_A_CACHE and not problems:
        write_cache(cached, content, manifest)
    return manifest, problems
