"""How long properties are tried: a minute by default, thousands of examples with GEMEL_HYPOTHESIS=long."""

import os

from hypothesis import HealthCheck, Phase, settings

# Phase.explain traces every line of sqlglot: minutes.
PHASES = [phase for phase in Phase if phase is not Phase.explain]
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("all", deadline=None, suppress_health_check=QUIET, phases=PHASES, print_blob=True)
settings.register_profile("quick", settings.get_profile("all"), max_examples=40, derandomize=True)
settings.register_profile("long", settings.get_profile("all"), max_examples=3000)
settings.load_profile(os.environ.get("GEMEL_HYPOTHESIS", "quick"))
