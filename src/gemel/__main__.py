"""`python -m gemel` is `gemel`."""

import sys

from gemel.cli import main

if __name__ == "__main__":
    sys.exit(main())
