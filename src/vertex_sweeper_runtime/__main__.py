"""`python -m vertex_sweeper_runtime` is `vertex-trial`."""

import sys

from vertex_sweeper_runtime.trial import main

if __name__ == "__main__":
    sys.exit(main())
