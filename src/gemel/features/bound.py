"""Feature views, services and on-demand views whose names are resolved: the input of every later step."""

from dataclasses import dataclass, field

from gemel.compiler.plan.algebra import Plan
from gemel.errors import GemelError
from gemel.on_demand.binding import BoundOnDemand
from gemel.spec.feature_views import FeatureService, FeatureView


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundView(FeatureView):
    """A feature view whose `features` are the columns of its table besides keys and times.

    A ratio has three columns: itself, `__numerator` and `__denominator`. Their `dtype` comes from the view or from the
    definition; None is decided by the engine. `plan` computes the table up to `UNTIL`, without casts.
    """

    plan: Plan = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundService(FeatureService):
    """A feature service. `selected` are its columns from each view, on-demand views last; None is all columns."""

    selected: tuple[tuple[BoundView | BoundOnDemand, tuple[str, ...] | None], ...]

    def tables(self) -> list[str]:
        """The names of the feature views that it reads tables of."""
        return list(
            dict.fromkeys(
                name
                for view, _ in self.selected
                for name in ([view.name] if isinstance(view, BoundView) else [source for source, _ in view.sources])
            )
        )


@dataclass(frozen=True, slots=True)
class Bound:
    views: tuple[BoundView, ...]
    services: tuple[BoundService, ...]
    warnings: tuple[GemelError, ...] = ()
    on_demand: tuple[BoundOnDemand, ...] = ()
