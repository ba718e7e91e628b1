"""The online store and the registry of a Feast repository, read from feature_store.yaml as Feast reads it, without
importing Feast.

We write only to stores that we can write to exactly as Feast does. Others are left to Feast, with the reason.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gemel.errors import BridgeError, Place, reason_of


@dataclass(frozen=True, slots=True)
class SqliteStore:
    project: str
    path: Path


@dataclass(frozen=True, slots=True)
class RedisStore:
    """`options` are arguments of redis.Redis. `scan`: whether all keys may be scanned for entities to remove."""

    project: str
    options: Mapping[str, Any]
    key_ttl: int | None = None
    scan: bool = True


@dataclass(frozen=True, slots=True)
class OtherStore:
    """A store that is read and written through Feast, and the reason."""

    why: str


Store = SqliteStore | RedisStore | OtherStore


@dataclass(frozen=True, slots=True)
class RegistryFile:
    project: str
    path: Path


@dataclass(frozen=True, slots=True)
class RegistryDatabase:
    """A registry in a database: an address and arguments of sqlalchemy.create_engine."""

    project: str
    url: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OtherRegistry:
    """A registry that is read and written through Feast."""

    kind: str


Registry = RegistryFile | RegistryDatabase | OtherRegistry

# Those that Feast has for other clouds are the same class.
_PROVIDERS = {"local", "aws", "azure", "gcp"}
_SQLITE = {"type", "path", "similarity"}
# `client` and `skip_dedup` are about how Feast itself reads and writes.
_REDIS = {
    "type",
    "redis_type",
    "client",
    "connection_string",
    "key_ttl_seconds",
    "full_scan_for_deletion",
    "skip_dedup",
    "sentinel_master",
}
_TYPES = {
    "sqlite": "sqlite",
    "feast.infra.online_stores.sqlite.SqliteOnlineStore": "sqlite",
    "redis": "redis",
    "feast.infra.online_stores.redis.RedisOnlineStore": "redis",
}


def read_store(repo: Path) -> Store:
    """The online store of the Feast repository. Raises BridgeError (G530, G560).

    Of the other settings, those matter that change where or how rows are stored. The rest is about Feast's own
    processes: its servers, engines, permissions, lineage.
    """
    file = repo / "feature_store.yaml"
    content = _content(file)
    project = _project(content, file)
    registry = content.get("registry")
    if content.get("provider", "local") not in _PROVIDERS:
        return OtherStore(f"the provider is {content['provider']!r}")
    if isinstance(registry, dict) and registry.get("enable_online_feature_view_versioning"):
        return OtherStore("the online tables are versioned (`enable_online_feature_view_versioning`)")
    if content.get("entity_key_serialization_version", 3) != 3:
        return OtherStore("the keys are not of version 3 (`entity_key_serialization_version`)")
    online = content.get("online_store", "sqlite")
    options = {"type": online} if isinstance(online, str) and online.lower() not in ("none", "null") else online
    if not isinstance(options, dict):
        return OtherStore("there is no online store")
    kind = _TYPES.get(str(options.get("type", "sqlite")))
    match kind:
        case "sqlite":
            return _sqlite(project, options, repo)
        case "redis":
            return _redis(project, options, file)
        case _:
            return OtherStore(f"the online store is {options.get('type')!r}")


def read_registry(repo: Path) -> Registry:
    """The registry of the Feast repository. Raises BridgeError (G530, G560)."""
    file = repo / "feature_store.yaml"
    content = _content(file)
    project = _project(content, file)
    setting: Any = content.get("registry", "data/registry.db")
    options: dict[str, Any] = {"path": setting} if isinstance(setting, str) else setting
    if not isinstance(options, dict):
        raise BridgeError("G560", "`registry` must be a path, or settings with a path", place=Place(str(file)))
    kind, path = options.get("registry_type", "file"), str(options.get("path", ""))
    if kind == "sql":
        # As Feast reads it; SQLAlchemy itself would take another driver.
        url = re.sub("^postgresql://", "postgresql+psycopg://", path)
        url = re.sub("^(sqlite[^:]*:///)(?![/:])", lambda found: f"{found[1]}{repo.resolve()}/", url)
        return RegistryDatabase(project, url, options.get("sqlalchemy_config_kwargs") or {})
    if kind != "file" or options.get("registry_store_type") not in (None, "FileRegistryStore"):
        return OtherRegistry(str(options.get("registry_store_type") or kind))
    return OtherRegistry(path.split("://")[0]) if "://" in path else RegistryFile(project, repo / path)


def _project(content: Mapping[str, Any], file: Path) -> str:
    project = content.get("project")
    if isinstance(project, str) and project:
        return project
    raise BridgeError(
        "G560",
        "feature_store.yaml names no project",
        place=Place(str(file)),
        hint="add a line `project: <name>`; `gemel generate` writes the whole file if it is missing",
    )


def _content(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BridgeError(
            "G530",
            f"there is no Feast repository at {file.parent}",
            hint="run `gemel generate`, which writes one from feature_views/*.yml",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BridgeError(
            "G560", f"feature_store.yaml cannot be read: {reason_of(error)}", place=Place(str(file))
        ) from None
    try:
        content = yaml.safe_load(os.path.expandvars(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(str(file), mark.line + 1) if mark else Place(str(file))
        raise BridgeError("G560", "feature_store.yaml is not YAML", place=place) from None
    if not isinstance(content, dict):
        raise BridgeError("G560", "feature_store.yaml has no settings", place=Place(str(file)))
    return content


def _sqlite(project: str, options: Mapping[str, Any], repo: Path) -> Store:
    for name, value in options.items():
        if name not in _SQLITE and value:
            return OtherStore(f"the SQLite store has `{name}: {value}`")
    return SqliteStore(project, repo / str(options.get("path", "data/online.db")))


def _redis(project: str, options: Mapping[str, Any], file: Path) -> Store:
    for name, value in options.items():
        if name not in _REDIS:
            return OtherStore(f"the Redis store has `{name}: {value}`")
    if options.get("redis_type", "redis") != "redis":
        return OtherStore(f"the Redis store has `redis_type: {options['redis_type']}`")
    ttl = options.get("key_ttl_seconds")
    if ttl is not None and (not isinstance(ttl, int) or isinstance(ttl, bool)):
        raise BridgeError("G560", f"key_ttl_seconds must be a number of seconds, not {ttl!r}", place=Place(str(file)))
    return RedisStore(
        project,
        _connection(str(options.get("connection_string", "localhost:6379")), file),
        key_ttl=ttl or None,
        scan=options.get("full_scan_for_deletion", True) is not False,
    )


def _connection(text: str, file: Path) -> dict[str, Any]:
    """`localhost:6379,db=1,ssl=true` as Feast reads it: the first address, and options, parsed as JSON if possible."""
    parts = text.split(",")
    addresses = [part for part in parts if "=" not in part]
    host, _, port = addresses[0].partition(":") if addresses else ("", "", "")
    if not host or not port.isdigit():
        raise BridgeError(
            "G560", "connection_string names no server", place=Place(str(file)), hint="write localhost:6379,db=0, say"
        )
    options: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if equals:
            try:
                options[name] = json.loads(value)
            except json.JSONDecodeError:
                options[name] = value
    return options | {"host": host, "port": int(port)}
