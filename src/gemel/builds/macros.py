"""The dbt macros that record what built a relation: one row for each build, in `gemel_builds` of the relation's schema.

They are written into the project, so that plain dbt records builds without gemel.
"""

from pathlib import Path

from sqlglot import exp

from gemel.dbt.project_file import PROJECT_FILE
from gemel.engines.adaptation import adapt
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Capability, Engine
from gemel.errors import Place, ProjectError
from gemel.files import Files, add_header, macros_folder

TABLE = "gemel_builds"

COLUMNS = {
    "relation": "VARCHAR",
    "definition": "VARCHAR",
    "invocation_id": "VARCHAR",
    "built_at": "TIMESTAMP",
    "newest_fact": "TIMESTAMP",
}
"""The columns of the table, with DuckDB's names of their types. `relation` is a name within the schema, so that a
schema or a database can be renamed or copied; times are in UTC."""

_MACROS = """\
{#- What built each relation of a schema: rows of the table gemel_builds, of which the newest counts. Models that gemel
    generated write it in their own transaction. For all other models, in dbt_project.yml:

        on-run-end: "{{ gemel_record_builds(results) }}"
-#}

{% macro gemel_builds(relation) -%}
  {{ return(relation.incorporate(path={'identifier': '<TABLE>'}, type='table')) }}
{%- endmacro %}

{% macro gemel_create_builds(relation) -%}
  {%- set builds = gemel_builds(relation) -%}
  {%- if execute and load_relation(builds) is none<TURN> -%}
<CREATE>
  {%- endif -%}
{%- endmacro %}

{% macro gemel_record_build(relation, definition, newest=none) -%}
  {%- set create = gemel_create_builds(relation) | trim -%}
  {%- if create %}{% do run_query(create) %}{% endif -%}
INSERT INTO {{ gemel_builds(relation) }} (<NAMES>)
SELECT
  '{{ escape_single_quotes(relation.identifier) }}',
  '{{ gemel_definition(definition) }}',
  '{{ invocation_id }}',
  CAST('{{ gemel_now() }}' AS <TIMESTAMP>),
  CAST({{ newest or 'NULL' }} AS <TIMESTAMP>)
  {%- if newest %}
FROM {{ relation }}
  {%- endif %}
{%- endmacro %}

{% macro gemel_now() -%}
  {{ modules.datetime.datetime.now(modules.pytz.utc).strftime("%Y-%m-%d %H:%M:%S.%f") }}
{%- endmacro %}

{% macro gemel_definition(definition) -%}
  {%- if flags.WHICH == 'clone' -%}clone
  {%- elif flags.EMPTY -%}--empty
  {%- elif flags.SAMPLE or invocation_args_dict.get('sample') -%}--sample
  {%- else -%}{{ definition }}
  {%- endif -%}
{%- endmacro %}

{% macro gemel_record_builds(results) -%}
  {%- for result in results if result.status == 'success' and result.node.relation_name
      and result.node.resource_type in ('model', 'seed', 'snapshot')
      and 'gemel_record_build(' not in result.node.raw_code -%}
    {%- set node = result.node -%}
    {%- set relation = api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias) -%}
    {%- do run_query(gemel_record_build(relation, local_md5(node.compiled_code or node.checksum.checksum)[:12])) -%}
  {%- endfor -%}
{%- endmacro %}
"""

_TURN = """

{% macro gemel_is_first(builds) -%}
  {#- dbt builds models in parallel, and this engine refuses to create a table while another transaction creates it. The
      first model of a run to come here creates it, and the others wait for it. -#}
  {%- if graph.setdefault('gemel_builds ' ~ invocation_id ~ builds, model.unique_id) == model.unique_id -%}
    {{ return(true) }}
  {%- endif -%}
  {%- for _ in range(5000) -%}
    {%- set found = run_query("SELECT 1 FROM information_schema.tables WHERE table_catalog = '" ~ builds.database
        ~ "' AND table_schema = '" ~ builds.schema ~ "' AND table_name = '<TABLE>'") -%}
    {%- if found | length > 0 -%}{{ return(false) }}{%- endif -%}
  {%- endfor -%}
  {{ return(true) }}
{%- endmacro %}
"""


def macro_files(root: Path, engine: Engine, files: Files) -> dict[str, str]:
    """The file of the macros that the generated models in `files` call; none if there are no such models.

    Raises ProjectError (G613) if dbt_project.yml has no folder for macros.
    """
    if not any("gemel_record_build(" in (text or "") for text in files.values()):
        return {}
    folder = macros_folder(root)
    if folder is None:
        raise ProjectError(
            "G613",
            "the generated models call macros, and dbt_project.yml names no macro-paths",
            hint="add a folder to it, such as `macro-paths: [macros]`",
            place=Place(PROJECT_FILE),
        )
    return {f"{folder}/{TABLE}.sql": add_header(".sql", "feature_views/ and exports", write_macros(engine))}


def write_macros(engine: Engine) -> str:
    """The text of the macros for an engine."""
    types = {name: _type_name(type_, engine) for name, type_ in COLUMNS.items()}
    columns = ",\n".join(f"  {name} {type_}" for name, type_ in types.items())
    create = f"CREATE TABLE IF NOT EXISTS {{{{ builds }}}} (\n{columns}\n)"
    turns = engine.has(Capability.CREATES_IN_TURN)
    parts = {
        "TURN": " and gemel_is_first(builds)" if turns else "",
        "CREATE": (engine.create_table or "{}").replace("{}", create),
        "NAMES": ", ".join(COLUMNS),
        "TIMESTAMP": types["built_at"],
        "TABLE": TABLE,
    }
    text = _MACROS + (_TURN if turns else "")
    for name, part in parts.items():
        text = text.replace(f"<{name}>", part)
    return text


def _type_name(type_: str, engine: Engine) -> str:
    select = exp.select(exp.cast(exp.null(), exp.DataType.build(type_, dialect=DIALECT)))
    adapt(select, engine)
    [named] = select.find_all(exp.DataType)
    return str(named.sql(engine.dialect))
