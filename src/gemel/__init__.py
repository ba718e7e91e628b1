"""gemel: the metrics that a business reads and the features that its models learn from, from one definition.

shop = gemel.load(".")
shop.query(["revenue"], ["customer__region"]).df()
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemel.answer import Answer
    from gemel.bi.exports.exported import Exported
    from gemel.compiler.names.listing import Listed
    from gemel.diff.comparison import Comparison
    from gemel.errors import (
        BiError,
        BridgeError,
        DefinitionError,
        FormatError,
        GemelError,
        Problems,
        ProjectError,
        QueryError,
        UnknownNameError,
        WarehouseError,
    )
    from gemel.expectations.outcomes import Outcome
    from gemel.files import Change
    from gemel.graph.lineage import Lineage
    from gemel.online.reading import OnlineRow
    from gemel.project import Project, load
    from gemel.proof.report import Report
    from gemel.spec.manifest import SavedQuery
    from gemel.spec.metrics import Metric
    from gemel.training.training_set import TrainingSet

_HOMES = {
    "gemel.answer": ("Answer",),
    "gemel.bi.exports.exported": ("Exported",),
    "gemel.compiler.names.listing": ("Listed",),
    "gemel.diff.comparison": ("Comparison",),
    "gemel.errors": (
        "BiError",
        "BridgeError",
        "DefinitionError",
        "FormatError",
        "GemelError",
        "Problems",
        "ProjectError",
        "QueryError",
        "UnknownNameError",
        "WarehouseError",
    ),
    "gemel.expectations.outcomes": ("Outcome",),
    "gemel.files": ("Change",),
    "gemel.graph.lineage": ("Lineage",),
    "gemel.online.reading": ("OnlineRow",),
    "gemel.project": ("Project", "load"),
    "gemel.proof.report": ("Report",),
    "gemel.spec.manifest": ("SavedQuery",),
    "gemel.spec.metrics": ("Metric",),
    "gemel.training.training_set": ("TrainingSet",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Answer",
    "BiError",
    "BridgeError",
    "Change",
    "Comparison",
    "DefinitionError",
    "Exported",
    "FormatError",
    "GemelError",
    "Lineage",
    "Listed",
    "Metric",
    "OnlineRow",
    "Outcome",
    "Problems",
    "Project",
    "ProjectError",
    "QueryError",
    "Report",
    "SavedQuery",
    "TrainingSet",
    "UnknownNameError",
    "WarehouseError",
    "load",
]


def __getattr__(name: str) -> Any:
    # `import gemel` alone must cost nothing: the module of a name is imported when the name is first used.
    if name not in _HOME:
        raise AttributeError(f"module 'gemel' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
