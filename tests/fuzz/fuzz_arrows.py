"""A coverage-guided fuzz run over the arrow language: no exception but the language's own errors.

    python tests/fuzz/fuzz_arrows.py -max_total_time=60 [a folder for what it finds]

It needs atheris, which the tests don't; .ci/run runs it where that can be installed.  What can be read must
keep its meaning when it is laid out anew.

Source: https://github.com/google/atheris
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["liteflow.arrows"]):
    from liteflow.arrows import compile_model, fmt, parse
    from liteflow.arrows.errors import ArrowError

CASES = Path(__file__).resolve().parent.parent / "arrows" / "cases"


def one(data: bytes) -> None:
    """Read, compile and lay out one text."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        model = parse(text)
        laid_out = fmt(text)
        compile_model(model)
    except ArrowError as error:
        str(error)
        return
    if parse(laid_out) != model or fmt(laid_out) != laid_out:
        raise AssertionError(f"fmt changes the meaning, or does not end: {text!r}")


def main() -> None:
    """Fuzz, beginning with the published cases."""
    with tempfile.TemporaryDirectory() as corpus:
        for path in CASES.glob("*.flow"):
            (Path(corpus) / path.stem).write_bytes(path.read_bytes())
        atheris.Setup([*sys.argv, corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
