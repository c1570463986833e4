"""What every test of studies may ask for."""

import pytest
from a_study import with_data, written

from noisepair.study import Study


@pytest.fixture
def folder(tmp_path):
    return with_data(tmp_path)


@pytest.fixture
def study(folder):
    return lambda **lines: Study.read(written(folder, **lines))
