"""A folder for the script of a driver; whatever a test has started there ends with it."""

import pytest
from support.drivers import Folder


@pytest.fixture
def folder(tmp_path):
    """A folder with nothing in it."""
    made = Folder(tmp_path)
    yield made
    made.close()
