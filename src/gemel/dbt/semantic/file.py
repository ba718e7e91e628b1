"""The file semantic_manifest.json, read into a Manifest; a large one is kept as it was read."""

import json
from pathlib import Path

from gemel.dbt.semantic.cache import recall, remember
from gemel.dbt.semantic.reading import read_what_can_be
from gemel.errors import GemelError, ProjectError
from gemel.spec.manifest import Manifest

SEMANTIC_MANIFEST = "semantic_manifest.json"
"""The file's name, in the folder of dbt's artifacts."""

WORTH_A_CACHE = 100_000
"""From how many bytes on a manifest is kept as it was read: of a few hundred metrics."""


def read_file(file: Path, cache: Path) -> tuple[Manifest, tuple[GemelError, ...]]:
    """A manifest's definitions, and what is to be said of those that cannot be meant. Raises ProjectError (G601, G602).

    A large one is kept in the folder `cache`.
    """
    kept = cache / "definitions.jsonl"
    try:
        content = file.read_bytes()
        known = recall(kept, content) if len(content) >= WORTH_A_CACHE else None
        if known is not None:
            return known, ()
        data = json.loads(content)
    except FileNotFoundError:
        raise ProjectError("G601", f"there is no {file}", hint="`dbt parse` writes it") from None
    except (OSError, UnicodeDecodeError) as error:
        hint = "it is to be a dbt project's target/semantic_manifest.json, which `dbt parse` writes"
        raise ProjectError("G602", f"cannot read {file}: {error}", hint=hint) from None
    except ValueError as error:
        raise ProjectError("G602", f"{file} is not JSON: {error}", hint="`dbt parse` writes it anew") from None
    manifest, problems = read_what_can_be(data)
    if len(content) >= WORTH_A_CACHE and not problems:
        remember(kept, content, manifest)
    return manifest, problems
