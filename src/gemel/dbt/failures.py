"""What dbt says when it fails: its message, the place that it is about, and what to do next."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from gemel.dbt.profile import NoProfileError, Target, read_target
from gemel.dbt.project_file import PROJECT_FILE, list_yaml_files
from gemel.dbt.variables import Vars
from gemel.errors import GemelError, Place, Problems, ProjectError
from gemel.spec.places import read_text


class DatabaseInUseError(ProjectError):
    """dbt cannot write, because another process (`holder`) has the database open. It has done nothing."""

    def __init__(self, command: str, message: str) -> None:
        pid = re.search(r"PID (\d+)", message)
        self.holder = f"process {pid[1]}" if pid else "another process"
        super().__init__(
            "G603",
            f"dbt {command} cannot write to the database, because another process holds it: {message}",
            hint="end that process, or wait for it, and run this again",
        )


class InvalidDefinitionsError(Problems, ProjectError):
    """Several definitions that dbt refuses, each with its place."""


def dbt_failure(command: str, output: str, errors: str, code: int, project_dir: Path) -> ProjectError:
    """The error (G603) of a run of dbt that ended with a code, from what it printed."""
    texts = _error_texts(output)
    if len(texts) > 2 and texts[-1].endswith("Semantic Manifest validation failed."):
        hint = f"correct the project; `dbt {command}` shows the same errors in context"
        return InvalidDefinitionsError(
            ProjectError(
                "G603",
                f"dbt {command} failed: {text}",
                place=_find_place(text, project_dir),
                hint=hint if text is texts[-2] else None,
            )
            for text in texts[:-1]
        )
    message = dbt_message(output) or _last_line(errors) or f"dbt ended with {code}"
    if "Could not set lock" in message:
        return DatabaseInUseError(command, message)
    for pattern, hint in _CAUSES:
        if match := re.search(pattern, message, re.DOTALL):
            text = f"dbt {command} failed: {message}"
            return ProjectError(
                "G603", text, place=_find_place(message, project_dir), hint=hint.format(*match.groups())
            )
    return ProjectError(
        "G603",
        f"dbt {command} failed: {message}",
        place=_find_place(message, project_dir),
        hint=_hint(command, message),
    )


_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"Could not find adapter type (\w+)!",
        "install dbt-{0} into the environment that has gemel (`pip install dbt-{0}`)",
    ),
    (r"No module named 'dbt", "install dbt-core into the environment that has gemel"),
    (
        r"Invalid value for '--profiles-dir': Path '([^']+)'|Could not find profile named '([^']*)'",
        "name the folder of profiles.yml with --profiles-dir",
    ),
    (r"run \"dbt deps\"|Run \"dbt deps\"", "run `dbt deps` in the project"),
    (
        r"Required var '(\w+)' not found",
        "give it (`--vars '{{{0}: …}}'`), or give it a value under `vars:` of dbt_project.yml",
    ),
    (r"Env var required but not provided: '(\w+)'", "set the environment variable {0}"),
    (
        r"version of dbt is not supported.*?Installed version of dbt: =?(\S+).*?Required version of dbt for "
        r"'(\w+)': \[([^\]]*)\]",
        "gemel runs the dbt of its own environment, {0}; {1} requires {2}: install such a dbt-core there",
    ),
)
"""By dbt's words, what to do."""


def find_obstacle(
    project_dir: Path, chosen: Target | None, target: str | None, profiles_dir: str | None, vars: Vars | None
) -> ProjectError | None:
    """Why dbt cannot run here, whatever the project says; None if it may."""
    if chosen is None:
        try:
            read_target(project_dir, target=target, profiles_dir=profiles_dir, vars=vars)
        except NoProfileError as error:
            return error
        except GemelError:
            return None  # dbt will tell
        return None
    try:
        is_there = find_spec(f"dbt.adapters.{chosen.kind}") is not None
    except (ImportError, ValueError):
        is_there = True  # dbt will tell
    if is_there:
        return None
    package = f"dbt-{chosen.kind}"
    return ProjectError(
        "G603",
        f"dbt has no adapter for {chosen.kind}, the type of target {chosen.name!r}",
        place=Place(str(chosen.file)),
        hint=f"install {package} into the environment that has gemel (`pip install {package}`)",
    )


def missing_variable(error: ProjectError) -> str | None:
    """The environment variable that dbt misses; None if that is not the error."""
    match = re.search(r"Env var required but not provided: '(\w+)'", error.message)
    return match[1] if match else None


def _hint(command: str, message: str) -> str:
    """What to do next. Unlike a parse, a build can also fail because of rows."""
    if "nfinite bounds" in message:
        return "a fact in a view with a `ttl` has the time '-infinity': `gemel validate --data` finds it"
    missing = re.search(r"\((\S+[/\\](?:features|bi))[/\\]_\w+\.yml\) depends on", message)
    if missing:
        return "generated files refer to definitions that no longer exist: `gemel generate` writes them anew"
    failures = [part for part in message.splitlines() if re.search(r"\b(Error|Failure) in \w+ ", part)]
    if command == "parse" or not failures:
        return f"correct the project; `dbt {command}` shows the same error in context"
    tests = [match[1] for part in failures if (match := re.search(r"\bFailure in (?:unit_)?test (\S+)", part))]
    if len(tests) < len(failures):
        return "correct the model, or the rows that it reads, and run this again; models built before it are kept"
    select = " ".join(tests)
    return f"the models are built, but rows fail tests: `dbt test --select {select} --store-failures` keeps those rows"


def dbt_message(log: str) -> str:
    """The errors in dbt's JSON log, without banner, stack traces and empty lines."""
    return "\n".join(dict.fromkeys(line for text in _error_texts(log) for line in text.splitlines()))


def _error_texts(log: str) -> list[str]:
    """Each error in dbt's JSON log, once."""
    texts: dict[str, None] = {}
    for line in log.splitlines():
        try:
            event = json.loads(line)
            data, info = event["data"], event["info"]
        except (ValueError, KeyError, TypeError):
            continue
        if info.get("level") != "error" or "stack_trace" in data:
            continue
        text = str(data.get("exc") or info.get("msg") or "")
        lines = [part.rstrip() for part in _without_traces(text) if part.strip(" -")]
        if lines:
            texts["\n".join(lines)] = None
    return list(texts)


def _without_traces(text: str) -> Iterator[str]:
    """The lines outside tracebacks: dbt's errors about filters contain the lines of its own code."""
    tracing = False
    for line in text.splitlines():
        if line.strip().startswith("Traceback"):
            tracing = True
        elif not line.startswith(" ") and line.strip():
            tracing = False
        if not tracing:
            yield line


def _find_place(message: str, project_dir: Path) -> Place | None:
    """The place that dbt's message is about: a file that is not YAML, or the only line with a word that it quotes."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = {file: read_text(file) for file in [project_dir / PROJECT_FILE, *list_yaml_files(project_dir)]}
    for file, text in texts.items():
        try:
            yaml.compose(text, Loader=loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            return Place(relative(file, project_dir), *((mark.line + 1, mark.column + 1) if mark else ()))
    words = re.findall(r"[`']([\w.]+)[`']", message)
    for word in words:
        if len(places := _lines_with(rf"\b{re.escape(word)}\b", texts, project_dir)) == 1:
            return places[0]
    semantic = {file: text for file, text in texts.items() if re.search(r"\b(semantic_models?|metrics):", text)}
    for word in words:
        if places := _lines_with(rf"\bname:\s*[\"']?{re.escape(word)}\b", semantic, project_dir):
            return places[0]
    return None


def _lines_with(pattern: str, texts: Mapping[Path, str], project_dir: Path) -> list[Place]:
    """The places that match, of the lines that are no comments."""
    return [
        Place(relative(file, project_dir), number, match.start() + 1)
        for file, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if not line.lstrip().startswith("#") and (match := re.search(pattern, line))
    ]


def relative(path: Path, project_dir: Path) -> str:
    return path.relative_to(project_dir).as_posix() if path.is_relative_to(project_dir) else str(path)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
