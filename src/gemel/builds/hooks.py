"""The dbt hooks of generated models, as dbt's config writes them. The first of each model record what built it, in the
table `gemel_builds` of its schema (`macros`)."""

import hashlib
import json
from collections.abc import Sequence

from gemel.engines.engine import Capability, Engine


def hook_settings(
    engine: Engine,
    definition: str,
    *,
    newest: str | None = None,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> dict[str, str]:
    """The settings `pre_hook` and `post_hook` of a model, as Jinja by name; none without hooks.

    `definition` is the hash of the model's definition, and `newest` SQL over the model for the time of its newest fact.
    The statements of `before` (as Jinja, such as a variable) and `after` (as texts) run in the model's transaction,
    `after` once the build is recorded: what cannot be rolled back, such as writing a file, comes last.
    """
    first: list[str] = []
    last: list[str] = []
    if engine.create_table is not None:
        if engine.has(Capability.CREATES_IN_TURN):
            # Before the transaction, which would not see a table that another model creates meanwhile. Not elsewhere:
            # on PostgreSQL, dbt then runs the whole model outside of a transaction.
            first.append('{"sql": "{{ gemel_create_builds(this) }}", "transaction": false}')
        fact = f", newest={_literal(newest)}" if newest else ""
        last.append(f"{{{{ gemel_record_build(this, {_literal(definition)}{fact}) }}}}")
    last += after
    hooks = {"pre_hook": [*first, *before], "post_hook": [json.dumps(each, ensure_ascii=False) for each in last]}
    return {name: _list(values) for name, values in hooks.items() if values}


def copy_metadata(definition: str) -> str:
    """The same in the metadata of a Parquet copy of the model's table, as DuckDB's KV_METADATA."""
    return (
        f"gemel_definition: '{{{{ gemel_definition({_literal(definition)}) }}}}', "
        "gemel_invocation: '{{ invocation_id }}', gemel_built_at: '{{ gemel_now() }}'"
    )


def hash_definition(sql: str) -> str:
    """Twelve hex digits that change with the SQL of a model."""
    return hashlib.sha256(sql.encode()).hexdigest()[:12]


def write_config(settings: dict[str, str]) -> str:
    """dbt's config of a model: `{{ config(...) }}`, in several lines if it has hooks."""
    if not {"pre_hook", "post_hook"} & settings.keys():
        return f"{{{{ config({', '.join(f'{name}={value}' for name, value in settings.items())}) }}}}"
    lines = ",\n".join(f"    {name}={value}" for name, value in settings.items())
    return f"{{{{ config(\n{lines}\n) }}}}"


def _literal(text: str) -> str:
    """A text in Jinja, within the double quotes of a hook."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _list(values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"[{values[0]}]"
    lines = ",\n".join(f"        {value}" for value in values)
    return f"[\n{lines}\n    ]"
