"""Secrets are used and never shown: not in the store's texts, not in logs, not where people look."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteflow import Context, Flow, RunFailed, Secret, flow, task
from liteflow.errors import ArgumentError, OtherArgumentsError, SecretMissingError
from liteflow.secret import SHORTEST, Mask

TOKEN = 'k9"v\\2 ä/xyz'


def texts_of(store):
    """All that can be read in a store without unpickling anything."""
    with closing(sqlite3.connect(store)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in db.execute(f"SELECT * FROM {table}")]
    return [cell for row in rows for cell in row if isinstance(cell, str)]


def leaks(texts, secret=TOKEN):
    forms = {secret, repr(secret)[1:-1], secret.replace("\\", "\\\\").replace('"', '\\"')}
    return [text for text in texts if any(form in text for form in forms)]


@task
def tell(token: str, context: Context) -> str:
    print("with", token)
    print(repr(token), end="")
    sys.stderr.write(f"half of {token[:5]}")
    sys.stderr.write(f"{token[5:]}, and half\n")
    logging.getLogger("sign").warning("in by %s", token)
    context.set("seen", {"token": [token]})
    return f"in by {token}"


@task
def chunks(tokens: list[str]):
    yield {"tokens": tokens}
    return len(tokens)


@task
def refuse(token: object) -> str:
    raise PermissionError(f"not with {token}")


@flow
def session(token: Secret, user: str = "ada"):
    return [tell(token), chunks([token]), tell(f"Bearer {token}"), refuse({"of": token})]


@flow
def retried(token: Secret, day: str = "today"):
    return tell(token), refuse(token)


@pytest.fixture
def failed(tmp_path, capfd):
    store = tmp_path / "s.db"
    run = session.run(token=TOKEN, db=store, executor="inline", check=False, log_dir=tmp_path / "logs")
    return run, store, capfd.readouterr()


def test_no_text_of_the_store_no_log_file_and_no_line_on_the_terminal_has_a_secret_in_it(failed, tmp_path):
    run, store, shown = failed
    files = [path.read_text() for path in (tmp_path / "logs").iterdir()]
    texts = [*texts_of(store), *files, shown.out, shown.err, *(line.line for line in run.logs())]

    assert leaks(texts) == []
    assert shown.out.startswith("with ***\n'***'")
    assert shown.err.startswith("half of ***, and half\n")
    assert "in by ***" in " ".join(texts_of(store))


def test_what_went_wrong_is_told_without_the_secret_and_still_as_what_it_was(failed):
    run, _, _ = failed
    causes = [run.failure, run.failure.__cause__, run.failure.__cause__.__cause__]

    assert leaks(map(str, causes)) == []
    assert "PermissionError: not with {'of': '***'}" in run.failure.failures["refuse"]


def test_a_failed_run_keeps_no_secret_among_its_arguments(tmp_path):
    with pytest.raises(RunFailed):
        Flow("refusing", refuse(TOKEN)).run(db=tmp_path / "plain.db", executor="inline")
    with pytest.raises(RunFailed):
        refusing.run(token=TOKEN, db=tmp_path / "s.db", executor="inline")

    assert TOKEN.encode() in (tmp_path / "plain.db").read_bytes()
    assert TOKEN.encode() not in (tmp_path / "s.db").read_bytes()


@flow
def refusing(token: Secret):
    return refuse(token)


@task
def dribble(token: str) -> None:
    for half in (token[:4], token[4:] + "\n", "x" * (32 * 1024 - 4) + token):
        os.write(1, half.encode())
    raise KeyError(token)


def test_a_worker_process_hides_what_comes_in_two_writes_and_across_the_pieces_of_a_long_line(
    tmp_path, capfd
):
    @flow
    def dribbling(token: Secret):
        return dribble(token)

    run = dribbling.run(token=TOKEN, db=tmp_path / "s.db", max_workers=1, check=False)
    first, *pieces = [line.line for line in run.logs()]

    assert first == "***"
    assert len(pieces) > 1
    assert "".join(pieces).strip("x") == "***"
    assert TOKEN not in capfd.readouterr().out
    assert leaks(texts_of(tmp_path / "s.db")) == []
    assert run.tasks["dribble"].error.startswith("KeyError: ")


def test_a_resume_takes_the_secret_again_and_says_so_if_it_is_nowhere(tmp_path, monkeypatch):
    store = tmp_path / "s.db"
    run = retried.run(token=TOKEN, db=store, executor="inline", check=False)

    with pytest.raises(SecretMissingError, match=r"LITEFLOW_SECRET_TOKEN.*secrets={'token'"):
        retried.resume(run.id, db=store)
    again = retried.resume(run.id, db=store, secrets={"token": "another one"}, executor="inline", check=False)
    monkeypatch.setenv("LITEFLOW_SECRET_TOKEN", "a third one")
    third = retried.resume(run.id, db=store, executor="inline", check=False)

    # What it was before does not matter to what had succeeded.
    assert [again.tasks["tell"].attempts, third.tasks["tell"].attempts] == [1, 1]
    assert third.tasks["refuse"].attempts == 3
    assert again.output("tell") == f"in by {TOKEN}"
    assert leaks(texts_of(store), "another one") == leaks(texts_of(store), "a third one") == []


def test_a_resume_takes_no_other_arguments(tmp_path):
    run = retried.run(token=TOKEN, db=tmp_path / "s.db", executor="inline", check=False)

    with pytest.raises(ArgumentError, match="'day' is no secret"):
        retried.resume(run.id, db=tmp_path / "s.db", secrets={"token": TOKEN, "day": "another"})


def test_the_same_run_id_with_another_secret_is_the_same_run(tmp_path):
    given = {"db": tmp_path / "s.db", "executor": "inline", "run_id": "one", "check": False}
    first = retried.run(token=TOKEN, **given)

    assert retried.run(token="rotated", **given).tasks == first.tasks
    with pytest.raises(OtherArgumentsError):
        retried.run(token="rotated", day="another", **given)


def test_the_environment_gives_secrets_and_what_is_given_wins(monkeypatch):
    @task
    def length(token: str) -> int:
        return len(token)

    @flow
    def lengths(token: Secret, plain: str = "x"):
        return length(token), length(plain)

    monkeypatch.setenv("LITEFLOW_SECRET_TOKEN", "four")
    monkeypatch.setenv("LITEFLOW_SECRET_PLAIN", "not taken")

    assert lengths.run(db=None, executor="inline").result == (4, 1)
    assert lengths.run(token="seventy", db=None, executor="inline").result == (7, 1)


def test_secrets_that_no_one_gives_or_that_are_no_text_are_refused_without_showing_them():
    with pytest.raises(ArgumentError, match="'token' is missing; it is a secret: set LITEFLOW_SECRET_TOKEN"):
        session.compile()
    with pytest.raises(ArgumentError, match=r"'clé' is missing; it is a secret: set LITEFLOW_SECRET_CL_,"):
        accented.compile()
    with pytest.raises(ArgumentError) as caught:
        session.compile(token=31337)
    assert "31337" not in str(caught.value)


@task
def say(token: Secret) -> int:
    print(token)
    return len(token)


@flow
def saying(token: Secret):
    return say(token)


@flow
def accented(clé: Secret):  # noqa: PLC2401  users name things in their language
    return say(clé)


@flow
def outer(word: str = "plain word"):
    return [saying("an inner one"), say("a constant one"), say(word)]


def test_secrets_of_tasks_and_of_flows_within_flows_are_hidden_too():
    free = Flow("free", say()).run(token="a free one", db=None, executor="inline")
    given = outer.run(inputs={"say-2.token": "given from outside"}, db=None, executor="inline")

    assert [line.line for run in (free, given) for line in run.logs()] == ["***"] * 4
    assert given.result == [12, 18, 10]


def test_several_secrets_for_one_parameter_of_a_task_are_hidden(tmp_path):
    @task
    def many(tokens: list[Secret], by_name: dict[str, list[Secret]]) -> None:
        print(*tokens, by_name)

    store = tmp_path / "s.db"
    calls = [say.map([TOKEN, "second one"]), many([TOKEN], {"a": ["third one"]})]
    run = Flow("several", [*calls, say.starmap([("fourth one",)])]).run(db=store, executor="inline")

    assert {line.line for line in run.logs()} == {"***", "*** {'a': ['***']}"}
    assert run.result[0] == [len(TOKEN), 10]
    assert leaks(texts_of(store)) == []


def test_a_secret_that_does_not_fit_is_called_what_its_author_calls_it():
    @task
    def use(n: int) -> int:
        return n

    @flow
    def run(token: Secret):
        return use(token)

    with pytest.raises(ArgumentError, match="'n' is a Secret, not int") as caught:
        run.run(token="hunter22", db=None)
    assert "hunter22" not in str(caught.value)


def test_a_flow_takes_one_secret_a_parameter():
    @flow
    def several(tokens: list[Secret]):
        return say(tokens[0])

    with pytest.raises(ArgumentError, match=r"'tokens' is list\[.*\], and a secret is one text") as caught:
        several.compile(tokens=["hunter2"])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["\udcff\udcfe as bytes", "\ud800 of no text at all"])
def test_a_secret_that_is_no_utf_8_is_one_like_any_other(token, tmp_path):
    run = saying.run(token=token, db=tmp_path / "s.db", executor="inline")

    assert [line.line for line in run.logs()] == ["***"]


def test_a_secret_argument_of_a_call_is_taken_again_by_a_resume(tmp_path, monkeypatch):
    @flow
    def calling():
        return say("x" * 4), refuse("y")

    inputs = {"say.token": "given from outside"}
    run = calling.run(inputs=inputs, db=tmp_path / "s.db", executor="inline", check=False)
    with pytest.raises(SecretMissingError, match="LITEFLOW_SECRET_SAY_TOKEN"):
        calling.resume(run.id, db=tmp_path / "s.db")
    monkeypatch.setenv("LITEFLOW_SECRET_SAY_TOKEN", "given from outside")

    assert calling.resume(run.id, db=tmp_path / "s.db", executor="inline", check=False).state == "failed"
    assert b"given from outside" not in (tmp_path / "s.db").read_bytes()


# --- masks -----------------------------------------------------------------------------------

LETTERS = st.text('ab"\\ä\n', max_size=40)
SECRETS = st.lists(st.text('ab"\\ä', min_size=SHORTEST, max_size=6), min_size=1, max_size=3)


@given(LETTERS, SECRETS, st.data())
def test_wherever_a_line_is_cut_into_pieces_no_secret_is_in_what_is_shown(text, secrets, data):
    line = text.replace("\n", "")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=3)))
    pieces = [line[a:b] for a, b in zip([0, *cuts], [*cuts, len(line)], strict=True)]
    mask, begun, shown = Mask(secrets), "", []
    for number, piece in enumerate(pieces):
        said, begun = mask.piece(piece, begun, goes_on=number < len(pieces) - 1)
        shown.append(said)

    assert not [secret for secret in secrets if secret in "".join(shown)]


@given(LETTERS, SECRETS)
def test_a_text_without_a_secret_is_shown_as_it_is(text, secrets):
    mask = Mask(secrets)

    assert mask.text(text) == text or "***" in mask.text(text)
    assert mask.text("nothing of it") == "nothing of it"


def test_keys_of_several_lines_are_hidden_line_by_line():
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"

    assert Mask([key]).text("read kqhkiG9w0BAQEF from it") == "read *** from it"


def test_secrets_of_fewer_than_three_characters_are_not_looked_for():
    assert Mask(["ab", ""]).text("abc") == "abc"
