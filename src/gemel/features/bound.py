"""Feature views, services and on-demand views whose names are resolved: the input of every later step."""

from dataclasses import dataclass, field

from gemel.compiler.plan.algebra import Plan
from gemel.errors import GemelError
from gemel.on_demand.binding import BoundOnDemand
from gemel.spec.feature_views import FeatureService, FeatureView


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundView(FeatureView):
    """A feature view whose `features` are the columns of its table besides keys and times.

    A ratio has three: itself, `__numerator` and `__denominator`. Their `dtype` is what the view says or the definition
    makes certain; None is for the engine to say. `plan` computes the table up to `UNTIL`, with every column of the type
    that comes out.
    """

    plan: Plan = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundService(FeatureService):
    """A feature service and its columns from each view, on-demand views last; None is all columns."""

    taken: tuple[tuple[BoundView | BoundOnDemand, tuple[str, ...] | None], ...]

    def tables(self) -> list[str]:
        """The feature views whose tables it needs."""
        return list(
            dict.fromkeys(
                name
                for view, _ in self.taken
                for name in ([view.name] if isinstance(view, BoundView) else [source for source, _ in view.sources])
            )
        )


@dataclass(frozen=True, slots=True)
class Bound:
    views: tuple[BoundView, ...]
    services: tuple[BoundService, ...]
    warnings: tuple[GemelError, ...] = ()
    on_demand: tuple[BoundOnDemand, ...] = ()
