"""Do type checkers see tasks, flows and `>>` as the documentation says?

`typing/accepted.py` is user code without mistakes, `typing/rejected.py` has some, each on a
line marked `# wrong`: mypy strict and pyright must report just those lines.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ACCEPTED = HERE / "typing" / "accepted.py"
REJECTED = HERE / "typing" / "rejected.py"

Reports = dict[int, list[str]]


def marked(path: Path) -> set[int]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}


@pytest.fixture(scope="module")
def mypy_reports(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Reports]:
    api = pytest.importorskip("mypy.api")
    cache = tmp_path_factory.mktemp("mypy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE.parent)
        out, err, _ = api.run(
            [
                "--strict",
                "--config-file=",
                "--no-error-summary",
                f"--cache-dir={cache}",
                f"--python-executable={sys.executable}",
                str(ACCEPTED),
                str(REJECTED),
            ]
        )
    assert not err, err
    reports: dict[Path, Reports] = {ACCEPTED: {}, REJECTED: {}}
    for line in out.splitlines():
        path, number, kind, text = line.split(":", 3)
        if kind.strip() == "error":
            found = reports.setdefault((HERE.parent / path).resolve(), {})
            found.setdefault(int(number), []).append(text.strip())
    return reports


@pytest.fixture(scope="module")
def pyright_reports() -> dict[Path, Reports]:
    pyright = shutil.which("pyright") or shutil.which("pyright", path=str(Path(sys.executable).parent))
    if pyright is None or subprocess.run([pyright, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pyright, or the node it runs on, is not installed")
    done = subprocess.run(
        [pyright, "--outputjson", f"--pythonpath={sys.executable}", str(ACCEPTED), str(REJECTED)],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
        check=False,
    )
    reports: dict[Path, Reports] = {ACCEPTED: {}, REJECTED: {}}
    for found in json.loads(done.stdout)["generalDiagnostics"]:
        if found["severity"] == "error":
            line = found["range"]["start"]["line"] + 1
            reports.setdefault(Path(found["file"]), {}).setdefault(line, []).append(found["message"])
    return reports


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_checkers_accept_what_users_write(checker: str, request: pytest.FixtureRequest) -> None:
    reports = request.getfixturevalue(f"{checker}_reports")
    assert reports[ACCEPTED] == {}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_checkers_report_every_mistake_and_nothing_else(checker: str, request: pytest.FixtureRequest) -> None:
    reports = request.getfixturevalue(f"{checker}_reports")
    assert set(reports[REJECTED]) == marked(REJECTED), reports[REJECTED]


def test_what_checkers_accept_does_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ACCEPTED.parent))
    import accepted

    assert accepted.keys == ["extract", "transform", "load"]
    assert accepted.etl.compile().leaves == ("load",)
    assert "the total" in {node.key for node in accepted.nested.compile().nodes}
