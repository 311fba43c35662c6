"""Steps that take secrets: the flow is given them, and they are shown nowhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from liteflow import Flow, Secret
from liteflow.arrows.errors import StepError
from liteflow.errors import ArgumentError, SecretMissingError

TOKEN = "k9-v2-xyz"
STATIC, GUARDED = "fetch → sign", "fetch → ? `$.n` sign"


def fetch(input):
    return {"n": 3}


def sign(value: object, token: Secret, again: str = "") -> dict[str, object]:
    print("signed with", token)
    return {"characters": len(token)}


def fail(value: object, token: Secret) -> None:
    raise PermissionError(f"not with {token}")


def texts_of(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as db:
        return list(db.iterdump())


@pytest.mark.parametrize(
    "text", [STATIC, GUARDED, f"{STATIC}\n{GUARDED}", "fetch → * sign", "{ fetch } → sign"]
)
def test_a_step_whose_task_takes_a_secret_gets_it_from_the_flow_and_it_is_shown_nowhere(text, tmp_path):
    flow = Flow.parse(text, [fetch, sign], name="f")

    run = flow.run(token=TOKEN, db=tmp_path / "x.db", executor="inline")

    assert str(len(TOKEN)) in str(run.result)
    assert not [
        line for line in texts_of(tmp_path / "x.db") if TOKEN in line or TOKEN.encode().hex().upper() in line
    ]


@pytest.mark.parametrize("text", [STATIC, GUARDED])
def test_a_secret_of_a_step_is_taken_from_the_environment(text, monkeypatch):
    monkeypatch.setenv("LITEFLOW_SECRET_TOKEN", TOKEN)

    assert Flow.parse(text, [fetch, sign]).run(db=None, executor="inline").result == {
        "characters": len(TOKEN)
    }


@pytest.mark.parametrize("text", [STATIC, GUARDED])
def test_a_secret_of_a_step_that_nobody_gives_is_told_before_anything_runs(text):
    with pytest.raises(ArgumentError, match="'token' is missing; it is a secret: set LITEFLOW_SECRET_TOKEN"):
        Flow.parse(text, [fetch, sign]).run(db=None, executor="inline")


@pytest.mark.parametrize(
    "text", ["sign(- token: k9 -)", 'sign(["k9"])', "fetch → ? `$.n` sign(- token: k9 -)"]
)
def test_a_secret_that_stands_in_the_text_is_refused_with_its_place(text):
    with pytest.raises(StepError, match=r"sign has its token in the text.*\n.*\n.*\n.*LITEFLOW_SECRET_TOKEN"):
        Flow.parse(text, [fetch, sign])


@pytest.mark.parametrize("text", [f"{STATIC} → fail", f"{GUARDED} → fail"])
def test_a_run_goes_on_with_a_secret_that_is_given_again_and_keeps_what_had_been_signed(
    text, tmp_path, capsys
):
    store = tmp_path / "x.db"
    failed = Flow.parse(text, [fetch, sign, fail], name="f").run(
        token=TOKEN, db=store, executor="inline", check=False
    )
    assert TOKEN not in str(failed.failure)

    def fail_no_more(value: object, token: Secret) -> str:
        return token[:2]

    flow = Flow.parse(text, {"fetch": fetch, "sign": sign, "fail": fail_no_more}, name="f")
    with pytest.raises(SecretMissingError, match="LITEFLOW_SECRET_TOKEN"):
        flow.resume(db=store, executor="inline")
    assert capsys.readouterr().out.splitlines() == ["signed with ***"]
    run = flow.resume(secrets={"token": "another"}, db=store, executor="inline")

    assert run.result == "an"
    assert capsys.readouterr().out == ""


def test_a_secret_with_a_default_need_not_be_given():
    def greet(value: object, token: Secret = "") -> str:
        return f"hello {token}"

    assert Flow.parse("greet", [greet]).run(db=None, executor="inline").result == "hello "


def test_a_secret_by_the_name_of_the_flows_own_input_is_refused():
    def odd(value: object, input: Secret) -> None: ...

    with pytest.raises(
        StepError, match=r"takes a secret by the name input.*\n.*\n.*\ngive the task's parameter"
    ):
        Flow.parse("odd", [odd])
