"""What holds for all tests."""

import os
import signal

import pytest

# Started in the background by a shell, we and all we start would ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The hundreds of programs that we start would each compile the library anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session", autouse=True)
def a_home_for_keys(tmp_path_factory):
    """The key of whoever runs the tests is neither used nor made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("LITEFLOW_KEY", raising=False)
        yield
