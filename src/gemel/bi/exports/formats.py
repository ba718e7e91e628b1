"""Every format by name, with the module of this package that writes it: the only list of formats."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from gemel.errors import FormatError, did_you_mean

if TYPE_CHECKING:
    from gemel.bi.exports.exported import Exported, Source

FORMATS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "osi": ("osi", {"version": "0.1.1", "name": "osi"}),
    "osi-0.2": ("osi", {"version": "0.2.0.dev0", "name": "osi-0.2"}),
    "superset": ("superset", {}),
    "lookml": ("lookml", {}),
    "cube": ("cube", {}),
    "snowflake": ("snowflake", {}),
    "databricks": ("databricks", {}),
}
"""The module, imported only for its format, and the further arguments of its `export`."""


def export(format: str, source: "Source", metrics: Sequence[str]) -> "Exported":
    """The metrics, by default all, in a format. Raises FormatError (G721, G722) and UnknownNameError (G201)."""
    if format not in FORMATS:
        hint = did_you_mean(format, FORMATS) or f"the formats are {', '.join(FORMATS)}"
        raise FormatError("G721", f"there is no format {format[:40]!r}", hint=hint)
    module, settings = FORMATS[format]
    exported: Exported = import_module(f"gemel.bi.exports.{module}").export(source, metrics, **settings)
    if not exported.count and not exported.refused:
        raise FormatError("G722", "there is no metric to export", hint="define one, see docs/metrics.md")
    return exported
