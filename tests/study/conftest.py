"""What every test of studies may ask for."""

import pytest
import torch
from a_study import with_data, written

from noisepair.study import Study


@pytest.fixture(autouse=True)
def one_thread():
    """Runs of this process are compared with those of others, and threads round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path):
    return with_data(tmp_path)


@pytest.fixture
def study(folder):
    return lambda **lines: Study.read(written(folder, **lines))
