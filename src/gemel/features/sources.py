"""Feast's source and offline store for a feature table, by the engine that dbt builds it in."""

from pathlib import Path

import yaml
from sqlglot import exp

from gemel.compiler.question.expressions import identifier
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Capability, Engine
from gemel.engines.lookup import all_engines
from gemel.engines.stores import FeastStore, Table, TargetSettings
from gemel.errors import BridgeError, Place, did_you_mean


def find_offline_store(engine: Engine) -> FeastStore:
    """Raises BridgeError (G580) for an engine without an offline store in Feast."""
    if engine.feast is None:
        names = [each.name for each in all_engines() if each.feast]
        raise BridgeError(
            "G580",
            f"Feast has no offline store for dbt's {engine.name!r} warehouses, so its tables cannot be features",
            hint=did_you_mean(engine.name, names) or f"there are {', '.join(names)}",
        )
    return engine.feast


def table(relation_name: str, engine: Engine) -> Table:
    """dbt's name of a table in SQL, `"shop"."main"."buying"`, as the parts that the engine has."""
    parsed = exp.to_table(relation_name, dialect=engine.dialect)
    folded = str.upper if engine.has(Capability.UPPER_CASE_NAMES) else str

    def name(part: exp.Expr | None) -> str:
        if not isinstance(part, exp.Identifier):
            return ""
        return part.name if part.args.get("quoted") else folded(part.name)

    database, schema, own = (name(parsed.args.get(part)) for part in ("catalog", "db", "this"))
    sql = ".".join(identifier(part).sql(DIALECT) for part in (database, schema, own) if part)
    return Table(database, schema, own, sql)


def check_store(repo: Path, engine: Engine) -> None:
    """Raises BridgeError (G583) if the user's feature_store.yaml reads another kind of warehouse."""
    file = repo / "feature_store.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # reading it for use reports the error
    offline = content.get("offline_store") if isinstance(content, dict) else None
    store = offline.get("type") if isinstance(offline, dict) else offline
    types = {_type(each): each for each in all_engines() if each.feast}
    if str(store) in types and str(store) != _type(engine):
        raise BridgeError(
            "G583",
            f"the offline store is {store}, but dbt builds the feature tables in {engine.name}",
            hint="remove feature_store.yaml and run `gemel generate`, which writes a new one; or use another --target",
            place=Place(str(file)),
        )


def _type(engine: Engine) -> str:
    """The type of the offline store in feature_store.yaml."""
    return str(find_offline_store(engine).settings(TargetSettings(None, engine.name))["type"])
