"""The comparison of two states of a project, for Python and for the shell."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gemel.dbt.running import Say
from gemel.diff import report
from gemel.diff.meaning import Change, compare
from gemel.diff.states import State, base_state, current_state, given_state
from gemel.errors import ProjectError, UnknownNameError
from gemel.session import Session
from gemel.text_tables import table


def read_comparison(
    session: Session, base: str, *, manifest: str | None = None, say: Say = lambda line: None
) -> "Comparison":
    """Compare `base` with the files as they are, or with the definitions in a `manifest`. `say` gets progress messages.

    `base` is a git revision, a directory with a dbt project, or a saved semantic_manifest.json. Raises ProjectError:
    G760 outside of git, G761 for a revision that git does not know, G762 for a state that dbt or gemel cannot read.
    """
    if not base.strip():  # an unset variable in CI; as a path it would be the project itself
        hint = "name a git revision, a directory, or a saved semantic_manifest.json"
        raise ProjectError("G760", "BASE is empty", hint=hint)
    after = given_state(session, manifest) if manifest else current_state(session, say=say)
    before = base_state(after.session, base, say=say)
    return Comparison(before, after, compare(before, after))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The definitions with a changed meaning, and those that they affect. `print` shows a table.

    since = gemel.load(".").diff("HEAD~1")
    print(since)
    [change.name for change in since.changes if change.kind == "metric"]
    """

    before: State = field(repr=False)
    after: State = field(repr=False)
    changes: tuple[Change, ...]

    @property
    def heading(self) -> tuple[str, ...]:
        """The names of the states, and notes on parts that could not be compared."""
        return (f"{self.before.name} -> {self.after.name}", *self.before.notes, *self.after.notes)

    def __str__(self) -> str:
        lines, _ = table(report.CHANGES, report.change_rows(self.changes)) if self.changes else ([], None)
        return "\n".join([*self.heading, *lines, report.summary(self.changes)])

    def of_metrics(self, names: Sequence[str]) -> tuple[Change, ...]:
        """The changes of these metrics alone."""
        return tuple(each for each in self.changes if each.kind == "metric" and each.name in names)

    def metric(self, name: str, *, candidate: str | None = None) -> str:
        """The name of a metric that can be compared. Raises UnknownNameError (G201)."""
        metric = (self.before if candidate else self.after).session.graph.metric(name).name
        if candidate:
            self.after.session.graph.metric(candidate)
        elif metric not in self.before.session.graph.metrics:
            hint = "use `gemel query` for its values, or --candidate to compare another metric of BASE with it"
            raise UnknownNameError("G201", f"{self.before.name} has no metric named {metric!r}", hint=hint)
        return metric
