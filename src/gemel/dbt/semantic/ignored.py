"""Definitions that the dbt that was found has ignored: before 1.12, dbt-core reads no newer YAML, and says nothing."""

from gemel.errors import About, DefinitionError
from gemel.spec.manifest import Manifest
from gemel.spec.places import Places


def report_ignored(manifest: Manifest, places: Places, version: str | None) -> tuple[DefinitionError, ...]:
    """An error (G168) for each semantic model in the newer YAML that is not in the manifest."""
    known = {model.name for model in manifest.models}
    found = f"dbt {version}" if version else "the dbt that wrote the manifest"
    return tuple(
        DefinitionError(
            "G168",
            f"{found} ignored the semantic model {name!r}: it has none of its entities, dimensions and metrics",
            hint="`semantic_model:` in a model needs dbt-core 1.12 or later (and a model without `versions:`): install "
            "that, or write `semantic_models:`",
            place=place,
            about=About("semantic_model", name),
        )
        for name, place in places.find_newer_models().items()
        if name not in known
    )
