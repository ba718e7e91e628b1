"""Every format by name, and what makes it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gemel.bi.exports import cube, databricks, lookml, osi, snowflake, superset
from gemel.bi.exports.exported import Exported, Source
from gemel.errors import FormatError, did_you_mean

FORMATS: Mapping[str, Callable[[Source, Sequence[str]], Exported]] = {
    "osi": partial(osi.export, version="0.1.1", name="osi"),
    "osi-0.2": partial(osi.export, version="0.2.0.dev0", name="osi-0.2"),
    "superset": superset.export,
    "lookml": lookml.export,
    "cube": cube.export,
    "snowflake": snowflake.export,
    "databricks": databricks.export,
}


def export(format: str, source: Source, metrics: Sequence[str]) -> Exported:
    """The metrics, or all there are, in a format. Raises FormatError (G721, G722) and UnknownNameError (G201)."""
    if format not in FORMATS:
        hint = did_you_mean(format, FORMATS) or f"the formats are {', '.join(FORMATS)}"
        raise FormatError("G721", f"there is no format {format[:40]!r}", hint=hint)
    found = FORMATS[format](source, metrics)
    if not found.count and not found.refused:
        raise FormatError("G722", "there is no metric to export", hint="define one, see docs/metrics.md")
    return found
