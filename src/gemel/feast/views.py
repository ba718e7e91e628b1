"""From Feast's feature views to views that can be joined: with real column names and the types of their definitions.

Every mismatch is an error.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from feast.errors import RequestDataNotFoundInEntityDfException
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.utils import _get_requested_feature_views_to_features_dict
from sqlglot import exp

from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError, did_you_mean
from gemel.feast.joins import Feature, View
from gemel.feast.provenance import warn_of_other_definition
from gemel.feast.relations import aliased, columns_of, open_database, run
from gemel.feast.source import relation_of

# The SQL type of a Feast type. Other types stay as they are in the source.
_SQL = {
    "INT32": "INTEGER",
    "INT64": "BIGINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "STRING": "VARCHAR",
    "BOOL": "BOOLEAN",
    "BYTES": "BLOB",
    "UNIX_TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
}
_SQL |= {f"{name}_LIST": f"{type_}[]" for name, type_ in _SQL.items()}


def requested(
    config: RepoConfig,
    feature_views: Sequence[FeatureView],
    feature_refs: Sequence[str],
    on_demand: Sequence[OnDemandFeatureView],
    *,
    full_feature_names: bool,
) -> list[View]:
    """The views in the order of the request. Raises BridgeError (G540, G543) and WarehouseError."""
    chosen, _ = _get_requested_feature_views_to_features_dict(list(feature_refs), list(feature_views), list(on_demand))
    return [
        _view(config, view, dict.fromkeys(features), full_feature_names=full_feature_names)
        for view, features in chosen.items()
    ]


def check_names(
    views: Sequence[View],
    on_demand: Sequence[OnDemandFeatureView],
    refs: Sequence[str],
    columns: Sequence[str],
    *,
    full_feature_names: bool,
) -> None:
    """Check that column names are unique. Raises BridgeError (G542), and Feast's error for missing request data."""
    owners = dict.fromkeys(columns, "a column of the entity rows")
    for view in on_demand:
        for name in view.get_request_data_schema():
            if name not in owners:
                raise RequestDataNotFoundInEntityDfException(feature_name=name, feature_view_name=view.name)
    for view_name, name in _answered(views, on_demand, refs, full_feature_names):
        if name in owners:
            raise BridgeError(
                "G542",
                f"feature {name!r} of {view_name!r} has the name of {owners[name]}",
                hint="rename that column, or use full_feature_names=True",
            )
        owners[name] = f"a feature of {view_name!r}"


def rows_between(config: RepoConfig, feature_views: Sequence[FeatureView], start: dt.datetime, end: dt.datetime) -> Any:
    """Entity rows for a request without any: each key and time of the views between the two, as Arrow."""
    import pyarrow as pa

    tables = []
    for view in (_view(config, each, {}, full_feature_names=False) for each in feature_views):
        moment = exp.column(view.moment, quoted=True)
        keys = [exp.column(own, quoted=True).as_(name, quoted=True) for name, own in view.keys]
        time = exp.cast(moment, "TIMESTAMPTZ", dialect=DIALECT).as_("event_timestamp")
        select = exp.select(*keys, time).distinct().from_(aliased(view.relation.tree, "source"))
        with open_database(view.relation.database) as connection:
            tables.append(run(connection, select.where(*within(moment, view.types[view.moment], start, end))))
    rows = pa.concat_tables(tables, promote_options="permissive")
    columns = ["event_timestamp", *(name for name in rows.column_names if name != "event_timestamp")]
    return rows.group_by(columns).aggregate([]).sort_by([(name, "ascending") for name in columns])


def within(moment: exp.Expr, type_: str, start: dt.datetime | None, end: dt.datetime | None) -> Iterator[exp.Expr]:
    """The conditions for a time between the two, both inclusive. Bounds without a zone are UTC."""
    for bound, condition in ((start, exp.GTE), (end, exp.LTE)):
        if bound is not None:
            bound = bound.astimezone(dt.UTC) if bound.tzinfo else bound.replace(tzinfo=dt.UTC)
            zoned = type_ in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
            text = exp.Literal.string(
                bound.isoformat(sep=" ") if zoned else bound.replace(tzinfo=None).isoformat(sep=" ")
            )
            kind = "TIMESTAMPTZ" if zoned else "TIMESTAMP"
            # Dates and nanoseconds are cast too: an end at 10:00:00 includes all of that microsecond.
            time = (
                moment
                if type_ in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
                else exp.cast(moment, kind, dialect=DIALECT)
            )
            yield condition(this=time.copy(), expression=exp.cast(text, kind, dialect=DIALECT))


def _view(config: RepoConfig, view: FeatureView, features: Mapping[str, None], *, full_feature_names: bool) -> View:
    source = view.batch_source
    if source is None:
        raise BridgeError("G540", f"feature view {view.name!r} has no batch source")
    relation = relation_of(source, config)
    types = columns_of(relation)
    warn_of_other_definition(view, config)

    def column(name: str) -> str:
        return relation.column(types, name, source.field_mapping)

    declared = {field.name: field.dtype for field in view.features}
    prefix = f"{view.projection.name_alias or view.name}__" if full_feature_names else ""
    for name in features:
        if name not in declared:
            raise BridgeError(
                "G543", f"feature view {view.name!r} has no feature {name!r}", hint=did_you_mean(name, declared)
            )
    keys = [field.name for field in view.entity_columns if field.name != DUMMY_ENTITY_ID]
    renamed = view.projection.join_key_map or {}
    return View(
        name=view.projection.name_to_use(),
        relation=relation,
        types=types,
        keys=tuple((renamed.get(key, key), column(key)) for key in keys),
        moment=column(source.timestamp_field),
        created=column(source.created_timestamp_column) if source.created_timestamp_column else None,
        ttl=view.ttl or None,
        features=tuple(
            Feature(column(name), prefix + name, _SQL.get(declared[name].to_value_type().name)) for name in features
        ),
    )


def _answered(
    views: Sequence[View], on_demand: Sequence[OnDemandFeatureView], refs: Sequence[str], full_feature_names: bool
) -> Iterator[tuple[str, str]]:
    """The view and the name of each column that the result adds to the entity rows."""
    for view in views:
        yield from ((view.name, feature.name) for feature in view.features)
    for computed in on_demand:
        called = computed.projection.name_to_use()
        for ref in refs:
            view_name, _, name = ref.partition(":")
            if view_name == called:
                yield called, f"{called}__{name}" if full_feature_names else name
