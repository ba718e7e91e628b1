"""A Feast data source for a table or a query in a DuckDB file, and a storage for saved datasets.

`relation_of` a source, of this kind or of Feast's files, is what DuckDB reads.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.protos.feast.core.SavedDataset_pb2 import SavedDatasetStorage as StorageProto
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from feast.type_map import pa_to_feast_value_type
from feast.value_type import ValueType
from sqlglot import exp

from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError
from gemel.feast.relations import Relation, arrow_schema, columns_of, verbatim


class DuckDBSource(DataSource):
    """A `table` (`buying`, `main.buying`), or the rows of a `query`, in a DuckDB file.

    `database` is the file, absolute or relative to the repository; by default the `database` of the offline store in
    feature_store.yaml. Raises BridgeError (G540) unless exactly one of table and query is given.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        table: str | None = None,
        query: str | None = None,
        database: str | None = None,
        **more: Any,
    ) -> None:
        if (table is None) == (query is None):
            raise BridgeError("G540", "a DuckDBSource must have either a table or a query", hint="give one of the two")
        name = name or table
        if not name:
            raise BridgeError("G540", "a DuckDBSource with a query must have a name", hint="add name=...")
        self.table, self.query, self.database = table, query, database
        super().__init__(name=name, **more)

    def __eq__(self, other: object) -> bool:
        same = super().__eq__(other)  # type: ignore[no-untyped-call]  # Feast's own has no types
        return isinstance(other, DuckDBSource) and bool(same) and self._place() == other._place()

    def __hash__(self) -> int:
        return hash((self.name, self.timestamp_field))

    def _place(self) -> dict[str, str | None]:
        return {"table": self.table, "query": self.query, "database": self.database}

    def source_type(self) -> Any:
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: Any) -> "DuckDBSource":
        return DuckDBSource(
            name=data_source.name,
            **json.loads(data_source.custom_options.configuration),
            field_mapping=dict(data_source.field_mapping),
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column,
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )

    def _to_proto_impl(self) -> Any:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type="gemel.feast.DuckDBSource",
            custom_options=DataSourceProto.CustomSourceOptions(configuration=json.dumps(self._place()).encode()),
            field_mapping=self.field_mapping,
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def validate(self, config: RepoConfig) -> None:
        """Raises WarehouseError for a missing file or table, BridgeError (G543) for a missing column."""
        relation = relation_of(self, config)
        types = columns_of(relation)
        for column in filter(None, (self.timestamp_field, self.created_timestamp_column)):
            relation.column(types, column, self.field_mapping)

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        return _value_type

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """The columns and their Arrow types, as Feast expects them."""
        return [(field.name, str(field.type)) for field in arrow_schema(relation_of(self, config))]

    def get_table_query_string(self) -> str:
        return self.table or f"({self.query})"


class SavedDatasetDuckDBStorage(SavedDatasetStorage):
    """A saved dataset as a table of a DuckDB file."""

    _proto_attr_name = "custom_storage"

    def __init__(self, table: str, database: str | None = None) -> None:
        self.table, self.database = table, database

    @staticmethod
    def from_proto(storage_proto: Any) -> "SavedDatasetDuckDBStorage":
        content = json.loads(storage_proto.custom_storage.configuration)
        return SavedDatasetDuckDBStorage(content["table"], content["database"])

    def to_proto(self) -> Any:
        content = json.dumps({"table": self.table, "database": self.database}).encode()
        options = DataSourceProto.CustomSourceOptions(configuration=content)
        add_class = getattr(self, "_custom_storage_proto", None)  # Feast 0.67 adds the name of this class
        return add_class(options) if add_class else StorageProto(custom_storage=options)

    def to_data_source(self) -> DuckDBSource:
        return DuckDBSource(table=self.table, database=self.database)


def relation_of(source: DataSource, config: RepoConfig) -> Relation:
    """The relation of a DuckDBSource, or of a FileSource of Parquet. Raises BridgeError (G540) for other sources."""
    match source:
        case DuckDBSource(table=str(table)):
            return Relation(source.name, exp.to_table(table, dialect=DIALECT), _database(source.database, config))
        case DuckDBSource(query=str(query)):
            return Relation(source.name, verbatim(query), _database(source.database, config))
        case FileSource() if source.file_format is None or isinstance(source.file_format, ParquetFormat):
            path = FileSource.get_uri_for_file_path(config.repo_path, source.path)
            path = f"{path.rstrip('/')}/**/*.parquet" if Path(path).is_dir() else path
            read = exp.ReadParquet(expressions=[exp.Literal.string(path)])
            return Relation(source.name, exp.Table(this=read))
        case _:
            raise BridgeError(
                "G540",
                f"source {source.name!r} is a {type(source).__name__}, which gemel's offline store does not read",
                hint="it reads a FileSource of Parquet and a gemel.feast.DuckDBSource",
            )


def _database(file: str | None, config: RepoConfig) -> Path:
    file = file or config.offline_store.database
    if not file:
        raise BridgeError(
            "G540",
            "no DuckDB file is named",
            hint="add `database=...` to the source, or `database:` to the offline store in feature_store.yaml",
        )
    return Path(config.repo_path or ".") / file


def _value_type(arrow: str) -> ValueType:
    """Feast's mapping of types, and two of DuckDB's types that it lacks."""
    if arrow.startswith("decimal"):
        return ValueType.DOUBLE
    if arrow.startswith("date"):
        return ValueType.UNIX_TIMESTAMP
    return pa_to_feast_value_type(arrow)
