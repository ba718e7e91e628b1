"""dbt's singular tests of the histories that generated models join: dbt builds a model only after they have passed."""

from collections.abc import Iterable
from pathlib import Path

from sqlglot import exp

from gemel.compiler.compiled import JoinedHistory, compile_select
from gemel.compiler.sql.overlaps import overlaps
from gemel.engines.engine import Engine
from gemel.files import add_header, escape_templates, tests_folder
from gemel.spec.project import DbtProject


def history_tests(histories: Iterable[JoinedHistory], *, dbt: DbtProject, root: Path, engine: Engine) -> dict[str, str]:
    """The text of each test's file, by its path below `root`; empty if the project has no folder for tests."""
    folder = tests_folder(root)
    if folder is None:
        return {}
    sources = {each.name: each.file for each in dbt.semantic_models}
    files = {}
    for history in histories:
        versions = history.versions
        ref = f"{{{{ {dbt.ref(history.relation)} }}}}"
        table = exp.Table(this=exp.Identifier(this=ref, quoted=False))
        found = overlaps(versions, table, history.alias)
        sql = escape_templates(compile_select(found, engine.dialect).sql, but=[ref])
        name = f"{versions.model}__one_version_of_{'_and_'.join(key.name for key in versions.keys)}"
        source = sources.get(versions.model) or "the semantic models"
        group = dbt.group_of([history.relation], name)
        of_group = f"group='{group}', " if group else ""
        config = f"{{{{ config({of_group}meta={{'gemel': {{'history': '{versions.model}'}}}}) }}}}"
        files[f"{folder}/{name}.sql"] = add_header(".sql", source, f"{config}\n\n{sql}\n")
    return files
