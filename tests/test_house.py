"""The rules of the house that no linter knows: who imports whom, what stays light, what is public."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "gemel"

# Who may import whom inside gemel. A new package or top module needs a row here.
LAYERS = {
    "errors": set(),
    "spec": {"errors"},
    "progress": set(),
    "dbt": {"errors", "locking", "spec", "whole_files", "progress"},
    "engines": {"temporary", "waits", "errors", "spec", "dbt", "data_frames", "cancellation"},
    "arguments": {"errors"},
    "compiler": {"errors", "spec", "engines", "arguments"},
    "rounding": {"errors", "spec", "engines", "compiler"},
    "histories": {"errors", "spec", "compiler"},
    "run": {"errors", "values_in_errors", "spec", "dbt", "engines", "compiler", "rounding", "histories"},
    "session": {"errors", "keeping", "spec", "dbt", "engines", "compiler", "run"},
    "keeping": set(),
    "cancellation": {"errors"},
    "waits": set(),
    "locking": {"waits"},
    "temporary": {"locking"},
    "values_in_errors": {"errors", "spec", "engines"},
    "answer": {"errors", "keeping", "cancellation", "spec", "text_tables", "compiler", "engines", "session", "checks"},
    "whole_files": {"locking", "errors"},
    "python_text": set(),
    "text_tables": set(),
    "data_frames": set(),
    "json_text": {"text_tables"},
    "files": {"errors", "spec", "dbt", "compiler", "engines", "whole_files"},
    "history_tests": {"spec", "compiler", "engines", "files"},
    "builds": {"errors", "dbt", "engines", "compiler", "files"},
    "checks": {"errors", "spec", "engines", "compiler", "run", "histories"},
    "expectations": {"errors", "spec", "dbt", "compiler", "run", "session", "files"},
    "on_demand": {"errors", "spec", "compiler", "engines", "python_text"},
    "zoned_columns": {"spec", "engines", "compiler", "run"},
    "features": {"errors", "spec", "dbt", "engines", "compiler", "run", "session", "files", "on_demand", "python_text"}
    | {"keeping", "builds", "zoned_columns", "history_tests"},
    "online": {"errors", "spec", "engines", "compiler", "run", "features", "on_demand", "whole_files"}
    | {"builds", "locking", "temporary", "progress"},
    "training": {"temporary", "errors", "spec", "engines", "compiler", "run", "features", "on_demand", "whole_files"}
    | {"builds", "data_frames", "progress"},
    "proof": {"errors", "spec", "dbt", "engines", "compiler", "run", "answer", "features", "online", "training"}
    | {"progress"},
    "feast": {"errors", "engines", "locking", "whole_files", "data_frames"},  # loaded by Feast only
    "bi": {"errors", "spec", "dbt", "engines", "compiler", "run", "session", "files", "zoned_columns"}
    | {"builds", "history_tests"},
    "tracing": {"spec", "dbt"},
    "graph": {"errors", "spec", "dbt", "engines", "compiler", "session", "features", "on_demand", "tracing"},
    "diff": {"errors", "spec", "dbt", "engines", "compiler", "run", "session", "features", "tracing", "graph"}
    | {"files", "text_tables"}
    | {"temporary", "progress"},
    "validation": {"errors", "spec", "dbt", "run", "session", "checks", "expectations", "features", "bi"},
    "pipeline": {"errors", "spec", "dbt", "engines", "session", "files", "expectations", "features", "online", "proof"}
    | {"bi"}
    | {"builds", "locking", "waits"},
    "mending": {"errors", "dbt", "files", "project", "whole_files"},
    "project": {
        "errors",
        "arguments",
        "spec",
        "dbt",
        "compiler",
        "session",
        "answer",
        "files",
        "expectations",
        "features",
        "online",
    }
    | {"training", "proof", "bi", "graph", "diff", "validation", "pipeline"},
    "catalogue": {
        "errors",
        "progress",
        "spec",
        "dbt",
        "compiler",
        "session",
        "files",
        "expectations",
        "features",
        "graph",
        "project",
    },
    "server": {"errors", "spec", "compiler", "session", "project"},
    "cli": {"errors", "spec", "dbt", "engines", "compiler", "session", "answer", "expectations", "files", "features"}
    | {"online", "training", "proof", "bi", "graph", "diff", "pipeline", "project", "catalogue", "server", "__init__"}
    | {"text_tables", "json_text"}
    | {"whole_files", "progress", "mending"},
    "__init__": {"errors", "spec", "compiler", "answer", "files", "expectations", "online", "training", "proof", "bi"}
    | {"graph", "diff", "project"},
    "__main__": {"cli"},
}

# A package's tests stand in the folder of its name, but for these. tests/dbt is what dbt tests in the worked example.
TESTS = {"dbt": "gemel_dbt"}

# What these may import only inside a function, so that `gemel --help` and `import gemel` stay quick.
LATER = {
    "session": {"engines", "compiler", "run"},
    "answer": {"engines", "compiler", "session", "checks"},
    "project": {"compiler", "files", "expectations", "features", "online", "training", "proof", "bi", "validation"}
    | {"graph", "diff", "pipeline"},
    "cli": {"engines", "dbt", "compiler", "session", "expectations", "files", "features", "online", "training", "proof"}
    | {"bi", "graph", "project", "diff", "catalogue", "pipeline", "server"},
    "__init__": {"answer", "expectations", "online", "training", "proof", "bi", "graph", "diff", "project"},
}

# The compiler's modules in the order of its stages; a module may import those before it. A new module needs a
# place here. The first stage, reading, is gemel.spec.
STAGES = {
    "question": [
        "query",
        "bounds",
        "parsing",
        "references",
        "language.signatures",
        "language.text_functions",
        "language.number_functions",
        "language.time_functions",
        "language.functions",
        "language.literals",
        "language.closed",
        "language.spelling",
        "language.writing",
        "language.asked",
        "keywords",
        "tokens",
        "verbatim",
        "own",
        "formulas",
        "expressions",
    ],
    "names": [
        "instants",
        "composites",
        "joins",
        "graph",
        "decimals",
        "listing",
        "entities",
        "terms",
        "keys",
        "misnamed",
        "unreachable",
        "unknown",
        "values",
        "scopes",
        "resolution",
    ],
    "plan": [
        "algebra",
        "facts",
        "parts",
        "distinct",
        "spines",
        "meetings",
        "shifts",
        "trailing",
        "events",
        "planning",
        "steps",
        "rewrites",
    ],
    "features": ["whole_windows", "cells", "histories", "reach", "moments", "detection", "streams", "requests"],
    "sql": [
        "averages",
        "calendars",
        "aggregates",
        "titles",
        "frames",
        "lowering",
        "overlaps",
        "translation",
        "dialects",
        "types",
        "fingerprints",
    ],
}
ORDER = [(stage, module) for stage, modules in STAGES.items() for module in modules]

# The heavy libraries, and the modules that may import one outside a function.
HEAVY: dict[str, set[str]] = {
    "dbt": set(),
    "duckdb": set(),
    "feast": {
        "feast.monitored",
        "feast.monitoring",
        "feast.provenance",
        "feast.retrieval",
        "feast.rows",
        "feast.source",
        "feast.store",
        "feast.views",
        "feast.writing",
    },
    "pandas": set(),
    "pyarrow": set(),
}

# A table of names may be read at once.
LIGHT = {"gemel.bi.exports.formats.FORMATS"}

# What can be taken out without a trace: who alone may know of it.
DOORS = {
    "bi.exports": {"bi.imports", "cli.exporting", "project", "__init__"},
    "bi.imports": {"cli.importing"},
    "catalogue": {"cli.docs"},
}

# The libraries that talk to an engine.
DRIVERS = {"duckdb", "psycopg"}

# Who may name a type of metric: where it is defined, read, and taken apart. Others ask `gemel.spec.metrics.Definition`.
METRIC_TYPES = {"spec.metrics", "dbt.semantic.metrics", "compiler.names.scopes"}

# What names an engine besides its own file, and why. Exports, in bi/exports, write a tool's own SQL.
ENGINES_NAMED = {
    "dbt/rendering": "whose adapters bring packages of macros to dbt; gemel.dbt is below the engines",
    "dbt/profile": "what dbt-duckdb calls the database of a target that names none",
}

# Words that are an engine's name, too.
NO_ENGINES = {"materialize": "what gemel and Feast do", "sqlite": "Feast's online store"}

# The files that only gemel.dbt opens; texts for people may speak of them.
DBT_FILES = {"manifest.json", "semantic_manifest.json", "catalog.json", "run_results.json", "dbt_project.yml"}

# Paths and hosts of one machine have no place in a repository.
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(tmp|root|work|home|Users|opt|mnt|private)/[\w.]|\b[A-Z]:\\Users\\")
MACHINE_PATHS_ALLOWED = {
    "tests/test_house.py": "names them to find them",
}


@dataclass(frozen=True)
class Import:
    """`module` (dotted name below gemel) imports `target`; `lazy` inside a function or only for types, `typing` only
    for types."""

    module: str
    target: str
    line: int
    lazy: bool
    typing: bool = False

    def __str__(self) -> str:
        return f"src/gemel/{self.module.replace('.', '/')}.py:{self.line} imports {self.target}"


def test_every_module_has_a_place_in_the_tables_above():
    files = [path.relative_to(SOURCE).with_suffix("").parts for path in SOURCE.rglob("*.py")]
    assert {file[0] for file in files} <= LAYERS.keys(), "give the new one a row in LAYERS"
    compiler = [file[1:] for file in files if file[0] == "compiler" and file[-1] not in ("__init__", "compiled")]
    assert {(stage, ".".join(module)) for stage, *module in compiler} == {*ORDER}, "give the new one a place in STAGES"


def test_every_module_imports_only_the_layers_below_it():
    wrong = []
    for found in IMPORTS:
        layer, target = found.module.split(".")[0], inner(found.target)
        if target and target[0] not in LAYERS.get(layer, set()) | {layer}:
            wrong.append(f"{found}: {layer} may not know {target[0]}")
    assert not wrong, "\n".join(wrong)


def test_layers_stand_in_a_row():
    TopologicalSorter(LAYERS).prepare()  # raises CycleError


def test_no_module_imports_itself_by_way_of_others():
    modules = {found.module.removesuffix(".__init__") for found in IMPORTS}
    below: dict[str, set[str]] = {module: set() for module in modules}
    for found in IMPORTS:
        target = found.target.removeprefix("gemel.")
        target = target if target in modules else target.rpartition(".")[0]
        if target in modules and not found.typing:
            below[found.module.removesuffix(".__init__")].add(target)
    for module in modules:
        border = [*below[module]]
        while border:
            further = below[border.pop()] - below[module]
            below[module] |= further
            border += further
    circles = {frozenset(each for each in below[module] if module in below[each]) for module in modules}
    assert circles == {frozenset()}


def find_place(path):
    """The stage and module of `["question", "language", "asked", "ask_filter"]`, or None."""
    for length in range(len(path), 1, -1):
        if (place := (path[0], ".".join(path[1:length]))) in ORDER:
            return place
    return None


def test_a_stage_of_the_compiler_imports_only_earlier_stages():
    wrong = []
    for found in IMPORTS:
        match found.module.split("."), inner(found.target):
            case ["compiler", stage, *module], ["compiler", *rest]:
                own, target = (stage, ".".join(module)), find_place(rest)
                if own in ORDER and (target is None or ORDER.index(target) >= ORDER.index(own)):
                    wrong.append(f"{found}, which comes later")
    assert not wrong, "\n".join(wrong)


def test_a_plan_becomes_sql_only_in_compiled():
    """`tidy`, `lower` and `speak` have one caller, so that what is put between them holds for every question."""
    steps = {
        # Plans over the tidied parts of a view.
        "gemel.compiler.plan.rewrites.tidy": {"compiler.features.requests", "compiler.features.detection"},
        "gemel.compiler.sql.lowering.lower": set(),
        "gemel.compiler.sql.dialects.speak": set(),
        "gemel.compiler.sql.dialects.speak_apart": set(),
    }
    used = [(found.module, found.target, str(found)) for found in IMPORTS]
    for module, call in calls():
        match call.func:
            case ast.Attribute(value=ast.Name(id="dialects" | "lowering" | "rewrites" as name), attr=step):
                stage = "plan" if name == "rewrites" else "sql"
                place = f"src/gemel/{module.replace('.', '/')}.py:{call.lineno}"
                used.append((module, f"gemel.compiler.{stage}.{name}.{step}", f"{place} calls {name}.{step}"))
    wrong = [
        f"{place}: take `compiled` or `compile_select` of gemel.compiler.compiled"
        for module, target, place in used
        if target in steps and module not in steps[target] | {"compiler.compiled"}
    ]
    assert not wrong, "\n".join(wrong)


def test_only_run_gives_sql_to_an_engine():
    """A limit, a time-out or an audit in `gemel.run` applies to every query. dbt's own runs bypass it, and
    `gemel.feast`, which lives in Feast's process."""
    opens = {"engines", "run", "feast", "session"}  # a session opens what `run` then asks
    wrong = [
        f"{found}: take gemel.run"
        for found in IMPORTS
        if found.module.split(".")[0] not in opens
        and not found.typing
        and (found.target.split(".")[0] in DRIVERS or found.target.startswith("gemel.engines.connections"))
    ]
    assert not wrong, "\n".join(wrong)


def test_only_an_engines_own_file_names_it():
    from gemel.engines.lookup import all_engines

    names = {name for engine in all_engines() for name in (engine.dialect, engine.name)} - NO_ENGINES.keys()
    name = re.compile(rf"({'|'.join(names)})(://.*)?")
    naming: dict[str, list[int]] = {}
    for path in SOURCE.rglob("*.py"):
        module = path.relative_to(SOURCE).with_suffix("").as_posix()
        texts = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Constant)]
        lines = [each.lineno for each in texts if isinstance(each.value, str) and name.fullmatch(each.value)]
        if lines and not module.startswith(("engines/", "bi/exports/")):
            naming[module] = lines
    assert naming.keys() - ENGINES_NAMED.keys() == set(), f"ask what the engine can do instead: {naming}"
    assert ENGINES_NAMED.keys() - naming.keys() == set(), "these name none any more"


def test_only_dbts_own_package_names_the_files_of_dbt():
    wrong = [
        f"{path.relative_to(ROOT)}:{each.lineno} names {each.value}: ask gemel.dbt for what is in it"
        for path in SOURCE.rglob("*.py")
        if not path.is_relative_to(SOURCE / "dbt")
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.Constant) and each.value in DBT_FILES
    ]
    assert not wrong, "\n".join(wrong)


def test_what_can_be_taken_out_is_known_by_its_doors_alone():
    wrong = [
        f"{found}: only {', '.join(sorted(doors))} may"
        for found in IMPORTS
        for package, doors in DOORS.items()
        if found.target.startswith(f"gemel.{package}.")
        if not any(f"{found.module}.".startswith(f"{door}.") for door in {package, *doors})
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_slow_to_import_is_imported_late():
    wrong = []
    for found in IMPORTS:
        layer, target = found.module.split(".")[0], inner(found.target)
        if not found.lazy and target and target[0] in LATER.get(layer, ()) and found.target not in LIGHT:
            wrong.append(f"{found}: do it inside the function that needs it")
    assert not wrong, "\n".join(wrong)


def test_heavy_libraries_are_imported_inside_functions():
    wrong = [
        f"{found}: do it inside the function that needs it"
        for found in IMPORTS
        if not found.lazy and found.module not in HEAVY.get(found.target.split(".")[0], {found.module})
    ]
    assert not wrong, "\n".join(wrong)


def test_a_metric_type_is_added_in_three_places():
    from gemel.spec.metrics import MetricDefinition

    types = {type_.__name__ for type_ in get_args(MetricDefinition)}
    words = {name.lower() for name in types}
    wrong = [
        f"{found}: ask its definition"
        for found in IMPORTS
        if found.target.startswith("gemel.spec.metrics.")
        and found.target.rpartition(".")[2] in types
        and found.module not in METRIC_TYPES
    ]
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Compare(left=ast.Attribute(attr="type"), comparators=[ast.Constant(value=word)]) if (
                    word in words
                ):
                    wrong.append(
                        f"{path.relative_to(ROOT)}:{node.lineno} asks whether it is {word!r}: ask its definition"
                    )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "code",
    [
        "import gemel",
        "import gemel; [getattr(gemel, name) for name in gemel.__all__]",
        "import sys; sys.argv = ['gemel', '--help']; from gemel.cli import main; main()",
    ],
    ids=["import gemel", "every public name", "gemel --help"],
)
def test_gemel_starts_without_the_heavy_libraries(code):
    tell = f"print(*sorted({set(HEAVY)} & set(sys.modules)), file=sys.stderr)"
    code = f"import atexit, sys; atexit.register(lambda: {tell})\n{code}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stderr.strip()) == (0, "")


def test_all_names_exactly_what_can_be_imported():
    import gemel

    typed = {found.target.split(".")[-1] for found in IMPORTS if found.module == "__init__" and inner(found.target)}
    assert sorted(gemel.__all__) == sorted(typed) == dir(gemel)
    assert all(getattr(gemel, name).__module__.startswith("gemel.") for name in gemel.__all__)


def test_every_command_is_documented():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text() for page in pages)
    missing = [command for command in commands() if not re.search(rf"\b{command}\b", text)]
    assert not missing, f"neither README.md nor docs/ tells of: {', '.join(missing)}"


def test_every_package_has_its_folder_of_tests():
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    tested = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert {TESTS.get(package, package) for package in packages} <= tested


def test_properties_have_other_examples_with_each_release():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    seed = f"--hypothesis-seed={settings['project']['version']}"
    assert seed in settings["tool"]["pytest"]["ini_options"]["addopts"]


def test_no_path_of_one_machine_is_committed():
    wrong = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked_texts()
        if name not in MACHINE_PATHS_ALLOWED
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATHS.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_lock_file_names_only_the_public_index():
    hosts = set(re.findall(r'"https?://([^/"]+)', (ROOT / "uv.lock").read_text()))
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}


def imports_of(path: Path) -> Iterator[Import]:
    """Every import in a file, wherever it stands."""
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    package = ["gemel", *module.split(".")[:-1]]

    def walk(node: ast.AST, lazy: bool, typing: bool = False) -> Iterator[Import]:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(module, alias.name, node.lineno, lazy, typing)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                base += [source] if source else []
                for alias in names:
                    yield Import(module, ".".join([*base, alias.name]), node.lineno, lazy, typing)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                lazy = True
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                lazy = typing = True
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy, typing)

    return walk(ast.parse(path.read_text()), lazy=False)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the source, with the dotted name of its module."""
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield module, node


def inner(target: str) -> list[str] | None:
    """`gemel.compiler.graph.Graph` -> `["compiler", "graph", "Graph"]`; None for what is not gemel's.

    A public name, `gemel.load`, is found in `["__init__"]`.
    """
    package, *parts = target.split(".")
    if package != "gemel":
        return None
    return parts if parts and parts[0] in LAYERS else ["__init__"]


def commands() -> Iterator[str]:
    """`gemel query`, `gemel list metrics`: every command, as one types it."""
    import click

    from gemel.cli import main

    def walk(command: click.Command, path: str) -> Iterator[str]:
        if not isinstance(command, click.Group):
            yield path
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found and not found.hidden:
                yield from walk(found, f"{path} {name}")

    return walk(main, "gemel")


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Each text file that is committed, or would be by `git add .`, and what is in it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    ran = subprocess.run(listed, capture_output=True, text=True, cwd=ROOT)
    if ran.returncode:
        pytest.skip("not a git work tree")
    for name in filter(None, ran.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


IMPORTS = [found for path in sorted(SOURCE.rglob("*.py")) for found in imports_of(path)]
