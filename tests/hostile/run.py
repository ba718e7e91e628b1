"""Hostile questions for as long as one likes; the first that is neither answered nor refused is printed, smallest.

python tests/hostile/run.py --minutes 10
"""

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hypothesis import HealthCheck, given, seed, settings

from hostile.attacks import filtered, questions
from hostile.fortress import Fortress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    outcomes: collections.Counter[str] = collections.Counter()
    end = time.monotonic() + asked.minutes * 60
    with tempfile.TemporaryDirectory() as directory:
        fortress = Fortress(Path(directory))
        rounds = 0
        while time.monotonic() < end:

            @seed(asked.seed + rounds)
            @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(questions | filtered)
            def attack(question):
                outcomes[fortress.attack(question)] += 1

            attack()
            rounds += 1
            assert fortress.unharmed(), f"something was changed in round {rounds} (seed {asked.seed + rounds - 1})"
    print(f"{sum(outcomes.values())} questions:", ", ".join(f"{c} {n}" for c, n in outcomes.most_common()))


if __name__ == "__main__":
    main()
