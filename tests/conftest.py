"""What holds for all tests."""

import os
import signal

import pytest
from support import laws

# Started in the background by a shell, we and all we start would ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The hundreds of programs that we start would each compile the library anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What a stream could not take is in its buffer when they end; users' streams have one.
os.environ.pop("PYTHONUNBUFFERED", None)


def soaks(config: pytest.Config) -> bool:
    """Whether what takes long is asked for."""
    return "soak" in config.option.markexpr.replace("not soak", "")


def pytest_configure(config: pytest.Config) -> None:
    laws.choose(soak=soaks(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a soak, each law is tried with all its examples."""
    if not soaks(config):
        return
    for item in items:
        if item.get_closest_marker("law") or getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.soak)


@pytest.fixture(scope="session", autouse=True)
def a_home_for_keys(tmp_path_factory):
    """The key of whoever runs the tests is neither used nor made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("LITEFLOW_KEY", raising=False)
        yield
