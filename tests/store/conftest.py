"""A folder whose stores even another user can reach."""

import os

import pytest


@pytest.fixture
def db(tmp_path):
    """Where a store may be made."""
    return tmp_path / "liteflow.db"


@pytest.fixture
def open_folder(tmp_path_factory):
    """A folder that another user may enter."""
    folder = tmp_path_factory.mktemp("open")
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o005)
    return folder
