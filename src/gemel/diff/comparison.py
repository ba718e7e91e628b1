"""Two states of a project compared: what a person asks for, in Python and from the shell."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gemel.dbt.running import Say
from gemel.diff import report
from gemel.diff.meaning import Change, compare
from gemel.diff.states import State, base_state, current_state, given_state
from gemel.errors import UnknownNameError
from gemel.session import Session
from gemel.text_tables import table


def read_comparison(
    session: Session, base: str, *, manifest: str | None = None, say: Say = lambda line: None
) -> "Comparison":
    """Of `base` and the files as they are, or the definitions in a `manifest`; `say` hears of what is done.

    `base` is a git revision, a directory with a dbt project, or a saved semantic_manifest.json. Raises ProjectError:
    G760 outside of git, G761 for a revision that git does not know, G762 for a state that dbt or gemel cannot read.
    """
    after = given_state(session, manifest) if manifest else current_state(session, say=say)
    before = base_state(after.session, base, say=say)
    return Comparison(before, after, compare(before, after))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What means something else than it did, and who is touched by that. `print` shows it as a table.

    since = gemel.load(".").diff("HEAD~1")
    print(since)
    [change.name for change in since.changes if change.kind == "metric"]
    """

    before: State = field(repr=False)
    after: State = field(repr=False)
    changes: tuple[Change, ...]

    @property
    def heading(self) -> tuple[str, ...]:
        """Which states they are, and what could not be looked at."""
        return (f"{self.before.name} -> {self.after.name}", *self.before.notes, *self.after.notes)

    def __str__(self) -> str:
        lines, _ = table(report.CHANGES, report.change_rows(self.changes)) if self.changes else ([], None)
        return "\n".join([*self.heading, *lines, report.summary(self.changes)])

    def of_metrics(self, names: Sequence[str]) -> tuple[Change, ...]:
        """The changes of these metrics alone."""
        return tuple(each for each in self.changes if each.kind == "metric" and each.name in names)

    def metric(self, name: str, *, candidate: str | None = None) -> str:
        """A metric's name, where there is something to compare it with. Raises UnknownNameError (G201)."""
        found = (self.before if candidate else self.after).session.graph.metric(name).name
        if candidate:
            self.after.session.graph.metric(candidate)
        elif found not in self.before.session.graph.metrics:
            hint = "`gemel query` asks it as it is; --candidate compares another metric of BASE with it"
            raise UnknownNameError("G201", f"{self.before.name} has no metric named {found!r}", hint=hint)
        return found
