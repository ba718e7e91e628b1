"""A manifest as it was read last time, in a file. The next start reads of it only the metrics that it is asked for.

The file is lines of JSON, so that nothing in it can run. Its first line says of which manifest it is, by which version
of this reader it was read, and what the rest must hash to. Whatever does not fit, for whatever reason, is no cache:
the manifest is read anew.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, overload

from gemel.errors import ProjectError
from gemel.spec import manifest, metrics
from gemel.spec.manifest import IndexedMetrics, Manifest
from gemel.spec.metrics import Metric
from gemel.whole_files import make_folder, whole

_CLASSES: tuple[type[Any], ...] = (
    *(each for each in (vars(metrics) | vars(manifest)).values() if isinstance(each, type) and is_dataclass(each)),
)
_NUMBERS = {each: number for number, each in enumerate(_CLASSES)}
_PARTS = {each: attrgetter(*(field.name for field in fields(each))) for each in _CLASSES}
_TUPLE = -1


class Metrics(IndexedMetrics):
    """Metrics as lines of JSON."""

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
            self._read[place] = _decoded(json.loads(self._lines[place]))
        return self._read[place]

    def __len__(self) -> int:
        return len(self._lines)


class MetricsByName(Mapping[str, Metric]):
    """The same, by name."""

    def __init__(self, metrics: Metrics, places: Mapping[str, int]) -> None:
        self._metrics = metrics
        self._places = places

    def __getitem__(self, name: str) -> Metric:
        return self._metrics[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def recall(file: Path, content: bytes) -> Manifest | None:
    """What was read of `content`, a semantic_manifest.json; None where the file does not say it, or is none."""
    with suppress(OSError, ValueError, TypeError, KeyError, IndexError):
        head, _, body = file.read_bytes().partition(b"\n")
        if head.decode() == _head(content, body):
            rest, *lines = body.split(b"\n")
            names, models, saved_queries, time_spines = json.loads(rest)
            return Manifest(_decoded(models), Metrics(names, lines), _decoded(saved_queries), _decoded(time_spines))
    return None


def remember(file: Path, content: bytes, manifest: Manifest) -> None:
    """Write what was read of `content`, whole or not at all. Where nothing can be written, nothing is."""
    others = [_encoded(each) for each in (manifest.models, manifest.saved_queries, manifest.time_spines)]
    write = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
    lines = [write([[metric.name for metric in manifest.metrics], *others])]
    lines += [write(_encoded(metric)) for metric in manifest.metrics]
    body = "\n".join(lines).encode()
    with suppress(OSError, ProjectError):
        make_folder(file.parent)
        with whole(file) as unfinished:
            Path(unfinished).write_bytes(_head(content, body).encode() + b"\n" + body)


def _head(content: bytes, body: bytes) -> str:
    return f"{_reader()} {hashlib.sha256(content).hexdigest()} {hashlib.sha256(body).hexdigest()}"


def _reader() -> str:
    """What a manifest was read by, and into which values: another version of gemel may read it otherwise."""
    files = sorted((*Path(__file__).parent.glob("*.py"), *Path(manifest.__file__).parent.glob("*.py")))
    stats = [(file.name, stat.st_size, stat.st_mtime_ns) for file in files for stat in (file.stat(),)]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def _encoded(value: Any) -> Any:
    """A value as JSON: an object is a list that starts with the number of its class, so a tuple needs one too."""
    kind = type(value)
    number, parts = (_TUPLE, value) if kind is tuple else (_NUMBERS[kind], _PARTS[kind](value))
    # The others are texts, numbers, None, and the meta that a user wrote, which is JSON.
    return [number, *[_encoded(part) if type(part) is tuple or type(part) in _NUMBERS else part for part in parts]]


def _decoded(value: Any) -> Any:
    if type(value) is not list:
        return value
    number, *parts = value
    inner = [_decoded(part) if type(part) is list else part for part in parts]
    return tuple(inner) if number == _TUPLE else _CLASSES[number](*inner)
