"""The pictures of the documents, drawn by `liteflow dag` itself from the .flow files beside them.

python docs/pictures/make.py
"""

from __future__ import annotations

from pathlib import Path

from liteflow.cli.dag import Picture, arrow_drawing

HERE = Path(__file__).resolve().parent


def drawings() -> dict[Path, str]:
    """What each picture is to be, by its file."""
    return {
        flow.with_suffix(".svg"): str(arrow_drawing(str(flow), Picture.svg))
        for flow in sorted(HERE.glob("*.flow"))
    }


if __name__ == "__main__":
    for file, drawn in drawings().items():
        file.write_text(drawn, encoding="utf-8")
        print(file.name)
