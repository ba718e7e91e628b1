"""A cache file of a manifest's values, from which the next start reads only the metrics that it needs.

The file is lines of JSON, which cannot run code. Its first line holds hashes of this reader's version, of the manifest
and of the rest of the file. If one of them does not match, the cache is ignored and the manifest is read again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, overload

from gemel.errors import ProjectError
from gemel.spec import manifest, metrics
from gemel.spec.columns import ColumnName
from gemel.spec.manifest import IndexedMetrics, Manifest
from gemel.spec.metrics import Metric
from gemel.whole_files import make_folder, replace_when_complete

_CLASSES: tuple[type[Any], ...] = (
    *(each for each in (vars(metrics) | vars(manifest)).values() if isinstance(each, type) and is_dataclass(each)),
    ColumnName,
)
_NUMBERS = {each: number for number, each in enumerate(_CLASSES)}
_PARTS: dict[type[Any], Callable[[Any], Any]] = {
    each: attrgetter(*(field.name for field in fields(each))) for each in _CLASSES if is_dataclass(each)
}
_PARTS[ColumnName] = lambda name: (str.__str__(name),)
_TUPLE = -1


class Metrics(IndexedMetrics):
    """Metrics, each decoded from its line of JSON on access."""

    def __init__(self, names: Sequence[str], lines: Sequence[bytes]) -> None:
        self.by_name = MetricsByName(self, {name: place for place, name in enumerate(names)})
        self._lines = lines
        self._read: dict[int, Metric] = {}

    @overload
    def __getitem__(self, place: int) -> Metric: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Metric, ...]: ...
    def __getitem__(self, place: int | slice) -> Metric | tuple[Metric, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        if place not in self._read:
            self._read[place] = _decode(json.loads(self._lines[place]))
        return self._read[place]

    def __len__(self) -> int:
        return len(self._lines)


class MetricsByName(Mapping[str, Metric]):
    """The same metrics by name."""

    def __init__(self, metrics: Metrics, places: Mapping[str, int]) -> None:
        self._metrics = metrics
        self._places = places

    def __getitem__(self, name: str) -> Metric:
        return self._metrics[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def read_cache(file: Path, content: bytes) -> Manifest | None:
    """The manifest with the given content, from a cache file; None if the file does not exist or does not match."""
    with suppress(OSError, ValueError, TypeError, KeyError, IndexError):
        head, _, body = file.read_bytes().partition(b"\n")
        if head.decode() == _header(content, body):
            rest, *lines = body.split(b"\n")
            names, models, *others = json.loads(rest)
            return Manifest(_decode(models), Metrics(names, lines), *map(_decode, others))
    return None


def write_cache(file: Path, content: bytes, manifest: Manifest) -> None:
    """Write a manifest with the given content to a cache file, atomically. A folder that is not writable is ignored."""
    parts = (manifest.models, manifest.saved_queries, manifest.time_spines, manifest.idle_measures)
    others = [_encode(each) for each in parts]
    write = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
    lines = [write([[metric.name for metric in manifest.metrics], *others])]
    lines += [write(_encode(metric)) for metric in manifest.metrics]
    body = "\n".join(lines).encode()
    with suppress(OSError, ProjectError):
        make_folder(file.parent)
        with replace_when_complete(file) as unfinished:
            Path(unfinished).write_bytes(_header(content, body).encode() + b"\n" + body)


def _header(content: bytes, body: bytes) -> str:
    return f"{_hash_reader()} {hashlib.sha256(content).hexdigest()} {hashlib.sha256(body).hexdigest()}"


def _hash_reader() -> str:
    """A hash of the code that reads manifests: another version of gemel may read them differently."""
    files = sorted((*Path(__file__).parent.glob("*.py"), *Path(manifest.__file__).parent.glob("*.py")))
    stats = [(file.name, stat.st_size, stat.st_mtime_ns) for file in files for stat in (file.stat(),)]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def _encode(value: Any) -> Any:
    """A value as JSON: a list that starts with the number of the object's class, or with -1 for a tuple."""
    kind = type(value)
    number, parts = (_TUPLE, value) if kind is tuple else (_NUMBERS[kind], _PARTS[kind](value))
    # All other values are texts, numbers, None and the user's meta, which is JSON.
    return [number, *[_encode(part) if type(part) is tuple or type(part) in _NUMBERS else part for part in parts]]


def _decode(value: Any) -> Any:
    if type(value) is not list:
        return value
    number, *parts = value
    inner = [_decode(part) if type(part) is list else part for part in parts]
    return tuple(inner) if number == _TUPLE else _CLASSES[number](*inner)
