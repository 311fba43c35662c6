"""The user's key: made once, for its owner alone, and refused when others may know it."""

import os
import stat
import subprocess
import sys

import pytest

from liteflow.errors import KeyRefusedError
from liteflow.keys import Keyring

ROOT = os.geteuid() == 0


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def keyring(state, **more):
    return Keyring({"XDG_STATE_HOME": str(state), **more})


def test_a_key_is_made_when_it_is_first_needed_and_is_the_same_from_then_on(state):
    first, again = keyring(state).own(), keyring(state).own()

    assert first == again
    assert first is not None
    assert len(first.secret) == 32
    assert (state / "liteflow" / "key").read_bytes() == first.secret


def test_the_key_and_its_directory_are_for_their_owner_alone(state):
    previous = os.umask(0)
    try:
        keyring(state).own()
    finally:
        os.umask(previous)

    assert stat.S_IMODE((state / "liteflow").stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "liteflow" / "key").stat().st_mode) == 0o600
    assert [path.name for path in (state / "liteflow").iterdir()] == ["key"]


def test_looking_for_keys_makes_none(state):
    assert keyring(state).known() == []
    assert not state.exists()


def test_programs_that_make_the_key_at_once_get_the_same_one(state):
    code = (
        "import sys; from liteflow.keys import Keyring; print('ready', flush=True); sys.stdin.readline();"
        "print(Keyring().own().id)"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "XDG_STATE_HOME": str(state)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.stdin.write("\n")
        maker.stdin.flush()
    made = {maker.communicate(timeout=30)[0] for maker in makers}

    own = keyring(state).own()
    assert own is not None
    assert made == {f"{own.id}\n"}


def test_the_home_directory_is_used_without_a_state_directory(tmp_path):
    own = Keyring({"HOME": str(tmp_path), "XDG_STATE_HOME": "not/absolute"}).own()

    assert own is not None
    assert (tmp_path / ".local" / "state" / "liteflow" / "key").read_bytes() == own.secret


def test_without_a_home_there_is_no_key():
    assert Keyring({"HOME": "/proc/nowhere"}).own() is None


def test_where_the_disk_takes_no_file_there_is_no_key():
    assert Keyring({"XDG_STATE_HOME": "/dev/null/state"}).own() is None


def test_a_key_of_the_environment_wins(state):
    filed = keyring(state).own()

    given = keyring(state, LITEFLOW_KEY="correct horse battery").own()

    assert given != filed
    assert given == Keyring({"LITEFLOW_KEY": "correct horse battery"}).own()
    assert keyring(state, LITEFLOW_KEY="correct horse battery").known() == [given, filed]


def test_a_key_of_the_environment_that_can_be_guessed_is_refused(state):
    with pytest.raises(KeyRefusedError, match=r"LITEFLOW_KEY .* 6 characters.* 16 or more"):
        keyring(state, LITEFLOW_KEY="secret").own()


def test_keys_of_before_are_known_but_not_used(state):
    own = keyring(state).own()
    folder = state / "liteflow"
    (folder / "keys").mkdir()
    for name, byte in (("key.old", b"a"), ("key.old-2", b"b"), ("keys/2024", b"c")):
        (folder / name).write_bytes(byte * 32)
        (folder / name).chmod(0o600)

    assert keyring(state).own() == own
    assert [key.secret[:1] for key in keyring(state).known()] == [own.secret[:1], b"a", b"b", b"c"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_or_write_is_refused(state, mode):
    keyring(state).own()
    path = state / "liteflow" / "key"
    path.chmod(mode)

    for use in (keyring(state).own, keyring(state).known):
        with pytest.raises(KeyRefusedError, match=f"{path}.*others may.*chmod 600"):
            use()
    # Who gives a key of their own has no need of it.
    assert len(keyring(state, LITEFLOW_KEY="correct horse battery").known()) == 1


def test_a_directory_that_others_may_write_to_is_refused(state):
    keyring(state).own()
    (state / "liteflow").chmod(0o770)

    with pytest.raises(KeyRefusedError, match=r"others may write to it.*chmod 700"):
        keyring(state).own()


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
def test_what_belongs_to_another_user_is_refused(state):
    keyring(state).own()
    os.chown(state / "liteflow" / "key", 12345, -1)
    with pytest.raises(KeyRefusedError, match=r"belongs to another user.*12345"):
        keyring(state).own()

    os.chown(state / "liteflow", 12345, -1)
    with pytest.raises(KeyRefusedError, match=r"belongs to another user.*LITEFLOW_KEY"):
        keyring(state).own()


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
def test_root_leaves_nothing_in_the_home_of_another_user(state):
    state.mkdir()
    os.chown(state, 12345, -1)

    assert keyring(state).own() is None
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)], ids=len)
def test_what_is_no_key_is_refused(state, content):
    keyring(state).own()
    (state / "liteflow" / "key").write_bytes(content)

    with pytest.raises(KeyRefusedError, match="a key has 32 bytes"):
        keyring(state).own()


def test_a_link_or_a_pipe_is_no_key(state, tmp_path):
    own = keyring(state).own()
    path = state / "liteflow" / "key"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyRefusedError, match="it is a link"):
        keyring(state).own()

    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyRefusedError, match="no regular file"):
        keyring(state).own()
    assert own is not None
