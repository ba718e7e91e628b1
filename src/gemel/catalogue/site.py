"""The files of the site: the page shell and its data, which browsers can open from disk or from a server."""

import datetime as dt
import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from gemel.catalogue.content import Address, Code, Content, Link, Page, Value
from gemel.catalogue.series import Series, Unknown
from gemel.catalogue.words import as_html, as_text
from gemel.errors import ProjectError
from gemel.graph.nodes import Node

CHUNK = 50
"""The number of pages in a data file: small enough to load quickly, without one file for each page."""

_SHELL = ("index.html", "catalogue.css", "catalogue.js")
_MARK = ".gemel-docs"


def write(content: Content, folder: Path) -> Path:
    """Write the site and return its first page. Raises ProjectError (G608) for a folder that holds something else."""
    _clear(folder)
    for name in _SHELL:
        (folder / name).write_bytes((files("gemel.catalogue") / "site" / name).read_bytes())
    data = folder / "data"
    data.mkdir()
    place = {node.id: number for number, node in enumerate(content.nodes)}
    _save(data / "index.js", "index", _index(content, place))
    flat = [
        part for source, target, direct in content.edges for part in (place[source], place[target], int(not direct))
    ]
    _save(data / "edges.js", "edges", flat)
    for first in range(0, len(content.nodes), CHUNK):
        pages = content.nodes[first : first + CHUNK]
        details = {place[node.id]: _page(node, content.pages[node.id], place) for node in pages}
        _save(data / f"details-{first // CHUNK}.js", "details", details)
    return folder / "index.html"


def _clear(folder: Path) -> None:
    if folder.exists() and not (folder / _MARK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        hint = "choose an empty or a new folder with --output"
        raise ProjectError("G608", f"{folder} is not empty, and is not a catalogue", hint=hint)
    for name in ("data", *_SHELL):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("gemel docs overwrites this folder\n")


def _save(file: Path, function: str, data: Any) -> None:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    file.write_text(f"gemel.{function}({text});\n", encoding="utf-8")


def _index(content: Content, place: dict[str, int]) -> dict[str, Any]:
    return {
        "project": content.project,
        "generated": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "chunk": CHUNK,
        "nodes": [
            [
                node.kind,
                node.name,
                content.pages[node.id].label,
                as_text(node.description) if node.description else None,
                node.owner,
            ]
            for node in content.nodes
        ],
        "gaps": [[place[gap.node], gap.reason] for gap in content.gaps if gap.node in place],
    }


def _page(node: Node, page: Page, place: dict[str, int]) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    if node.description:
        detail["description"] = as_html(node.description)
    if page.facts:
        detail["facts"] = [[term, _value(value, place)] for term, value in page.facts]
    if page.lists:
        detail["lists"] = [{"title": title, "nodes": [place[id] for id in ids]} for title, ids in page.lists]
    if page.groups:
        detail["groups"] = [[name, place[id]] for name, id in page.groups]
    if page.sql:
        detail |= {"sql": page.sql, "sql_title": page.sql_title}
    match page.series:
        case Series(grain, points):
            detail["series"] = {"grain": grain, "points": [[str(day), value] for day, value in points]}
        case Unknown(reason):
            detail["refused"] = f"There is no chart: {reason}."
        case None:
            pass
    return detail


def _value(value: Value, place: dict[str, int]) -> Any:
    match value:
        case Code(text):
            return {"code": text}
        case Link(id):
            return {"node": place[id]}
        case Address(url):
            return {"url": url}
        case tuple():
            return [_value(each, place) for each in value]
        case str():
            return value
