"""How many examples a property is tried on: some in each run of the tests, thousands in `make hunt`."""

from hypothesis import HealthCheck, Phase, settings

QUICK, HUNT = 40, 3000


def register_profiles() -> None:
    """`quick`, which holds from here on, and `hunt`, which `--hypothesis-profile=hunt` takes in its place.

    Neither has examples that stay the same for ever, nor some that nobody can repeat: they follow from the seed, which
    is `--hypothesis-seed` in pyproject.toml or on the command line.
    """
    settings.register_profile(
        "quick",
        settings.get_profile("default"),  # not `ci`, which hypothesis takes by itself where CI=true
        max_examples=QUICK,
        deadline=None,
        print_blob=True,
        # Phase.explain traces every line of sqlglot: minutes.
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    settings.register_profile("hunt", settings.get_profile("quick"), max_examples=HUNT)
    settings.load_profile("quick")


def examples(quick: int) -> settings:
    """For a property that costs less or more than others: so many examples in a quick run, and more in a hunt."""
    return settings(max_examples=quick * settings.default.max_examples // QUICK)
