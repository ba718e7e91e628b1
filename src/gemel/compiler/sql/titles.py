"""Names for results, after their contents."""

from sqlglot import exp

from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Combine,
    Derive,
    Distinct,
    Join,
    Moments,
    Plan,
    Scan,
    Stack,
)
from gemel.spec.manifest import Relation


def title_of(plan: Plan) -> str:
    """A name for a result after its contents: `flights_by_month`, `flights_by_carrier_day`."""
    match plan:
        case Moments():
            return "moments"
        case Stack(title=title):
            return title
        case Derive(input=(Aggregate() | AsOf()) as inner):
            return title_of(inner)
        case Aggregate(keys=keys) | Distinct(keys=keys):
            names = [key.name for key in keys if not isinstance(key.value, exp.Window)]
        case AsOf(spine=spine):
            names = list(spine.columns)
        case Derive(input=Join(), outputs=outputs):
            names = [output.name for output in outputs[:-1]]  # the last is the value
        case _:
            names = []
    facts = facts_name(plan)
    short = "_".join(name.removeprefix("metric_time__").replace("__", "_") for name in names)
    if not names:
        return f"{facts}_result"
    return f"{facts}_by_{short}" if len(short) <= 40 else f"{facts}_by_{len(names)}_items"


def facts_name(plan: Plan) -> str:
    """The table at the bottom of a result."""
    while True:
        match plan:
            case Scan(source=source, alias=alias):
                if isinstance(source, Relation):
                    return alias
                plan = source
            case Combine(inputs=inputs) | Stack(inputs=inputs):
                plan = inputs[0]
            case Moments(facts=inner) | AsOf(facts=inner):
                plan = inner
            case Join(input=Scan(alias="spine"), right=right):
                plan = right
            case _:
                plan = plan.input
