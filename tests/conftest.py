"""What every test may ask for."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Where tests run side by side, each takes one core; so do the processes that it starts.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("COLUMNS", None)  # of the terminal; help pages would keep to it ever after

# Where others wait for the answer, the same examples every time; at a desk, new ones.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")

# A job in the background is born deaf to Ctrl-C, and so are the processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real pictures, which may not travel with the project."""
    folder = os.environ.get("NOISEPAIR_DATA")
    if not folder:
        pytest.skip("needs the real pictures: set NOISEPAIR_DATA to their folder")
    return Path(folder)
