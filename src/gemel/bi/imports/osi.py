"""Open Semantic Interchange to dbt's YAML: what gemel wrote comes back as it was, what others wrote as far as it goes.

A file of another tool says less than dbt needs (no grain, no time for a metric), and its expressions can be more than
dbt can. What is added is told, and what cannot be meant is refused with its reason.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gemel.bi.exports.texts import OSI_WORDS
from gemel.bi.imports.expressions import Unsaid, metrics_of
from gemel.bi.imports.tables import Datasets, read_datasets
from gemel.bi.yaml_text import commented, dump, literal, load_all
from gemel.errors import FormatError, Place, Problems
from gemel.spec.fields import Json, objects

VENDOR = "DBT"


@dataclass(slots=True)
class Imported:
    """`content` is for a YAML file of dbt. `refused` are what is not in it, and why; `notes` what was added."""

    file: str
    content: dict[str, list[Json]] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """YAML, as a file under dbt's model paths."""
        left = [f"  {name}: {why}" for name, why in self.refused]
        lines = [f"Made by `gemel import osi` of {self.file}.", *(["Not here:", *left] if left else [])]
        return commented([*lines, *(f"Added: {note}" for note in self.notes)]) + dump(literal(self.content))

    def refuse(self) -> None:
        """Raise Problems (G724) where something of the file is not in the content."""
        if self.refused:
            raise Problems(
                FormatError(
                    "G724",
                    f"{name}: {why}",
                    hint="--skip imports the rest" if number == len(self.refused) else None,
                    place=Place(self.file),
                )
                for number, (name, why) in enumerate(self.refused, 1)
            )


def load_osi(file: Path) -> Imported:
    """The definitions of a YAML or JSON file. Raises FormatError (G723) where it is no OSI document."""
    try:
        return read_osi(load_all(file.read_text(encoding="utf-8")), file=str(file))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        told = " ".join(str(error).split())[:200]
        raise FormatError("G723", f"cannot read {file}: {told}", hint="give a YAML or JSON file") from None


def read_osi(documents: Sequence[object], *, file: str) -> Imported:
    """The definitions of the documents of a file, already loaded. Raises FormatError (G723) where they are none."""
    models = [model for document in documents for model in _models(document)]
    if not models:
        told = f"{file} is not a document of the Open Semantic Interchange: it has no semantic model"
        raise FormatError("G723", told, hint="give a file as `gemel export osi` writes it, YAML or JSON")
    found = Imported(file)
    kinds: dict[str, dict[str, Json]] = {"semantic_models": {}, "metrics": {}, "saved_queries": {}}
    for model in models:
        foreign = _known(model, kinds, found)
        _foreign(model, *foreign, kinds, found)
        for extension in _extensions(model):
            for kind, known in kinds.items():
                for item in objects(extension, kind):
                    known.setdefault(str(item.get("name")), item)
    found.content = {kind: list(known.values()) for kind, known in kinds.items() if known}
    if not found.content and not found.refused:
        raise FormatError("G723", f"{file} defines nothing", hint="it has no dataset in any semantic_model")
    return found


def _models(document: object) -> list[Json]:
    """A document is a list of semantic models, or (since 0.2) one."""
    if not isinstance(document, dict):
        return []
    return [document] if isinstance(document.get("datasets"), list) else objects(document, "semantic_model")


def _known(model: Json, kinds: dict[str, dict[str, Json]], found: Imported) -> tuple[list[Json], list[Json]]:
    """What carries its dbt definition goes among `kinds`; the datasets and metrics that do not are left."""
    datasets, metrics = [], []
    for dataset in objects(model, "datasets"):
        carried = _carried(dataset, "semantic_model")
        if carried is None:
            datasets.append(dataset)
        else:
            kinds["semantic_models"].setdefault(carried["semantic_model"]["name"], carried["semantic_model"])
    for metric in objects(model, "metrics"):
        carried = _carried(metric, "metric")
        if carried is None:
            metrics.append(metric)
        elif carried.get("expression") != _first(metric):
            why = "its expression was changed, and the dbt definition beside it was not"
            found.refused.append((str(metric.get("name")), why))
        else:
            kinds["metrics"].setdefault(carried["metric"]["name"], carried["metric"])
    return datasets, metrics


def _foreign(
    model: Json, datasets: list[Json], metrics: list[Json], kinds: dict[str, dict[str, Json]], found: Imported
) -> None:
    known: Datasets = read_datasets(datasets, objects(model, "relationships"))
    found.notes += known.notes
    found.refused += known.refused
    made: list[Json] = []
    for metric in metrics:
        name = metric.get("name")
        if not isinstance(name, str):
            found.refused.append(("a metric", "it has no name"))
            continue
        try:
            made += metrics_of(metric, _said(metric), known)
        except Unsaid as unsaid:
            found.refused.append((name, str(unsaid)))
    for each in made:
        if str(each["name"]) in kinds["metrics"]:
            found.refused.append((str(each["name"]), "another metric of that name is there already"))
        else:
            kinds["metrics"][str(each["name"])] = each
    for each in known.definitions():
        kinds["semantic_models"].setdefault(str(each["name"]), each)


def _carried(item: Json, kind: str) -> Json | None:
    """What gemel put beside an item; others keep something else under the same vendor."""
    for each in _extensions(item):
        if isinstance(each.get(kind), dict) and isinstance(each[kind].get("name"), str):
            return each
    return None


def _extensions(item: Json) -> Iterator[Json]:
    for extension in objects(item, "custom_extensions"):
        if str(extension.get("vendor_name")).upper() == VENDOR:
            try:
                data: Any = json.loads(extension.get("data") or "null")
            except (ValueError, TypeError):
                continue
            if isinstance(data, dict):
                yield data


def _dialects(metric: Json) -> Sequence[Json]:
    expression = metric.get("expression")
    return objects(expression, "dialects") if isinstance(expression, dict) else ()


def _first(metric: Json) -> str | None:
    return next((str(each.get("expression")) for each in _dialects(metric)), None)


def _said(metric: Json) -> tuple[str, str]:
    """The expression, and what sqlglot calls its dialect."""
    for word, dialect in OSI_WORDS.items():
        for each in _dialects(metric):
            if each.get("dialect") == word and isinstance(each.get("expression"), str):
                return each["expression"], dialect
    words = ", ".join(str(each.get("dialect")) for each in _dialects(metric)) or "none"
    raise Unsaid(f"its expression is in no SQL ({words})")
