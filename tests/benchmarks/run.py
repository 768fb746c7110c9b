"""Measure Bellwire beside its peers: `make bench`, or `python tests/benchmarks/run.py --help`."""

import sys
from pathlib import Path

# Run as a script, this folder would be first on the path and hide the package `tests.benchmarks`.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
