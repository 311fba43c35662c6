"""What was a run given?  Previews of its arguments, as a file holds them that may be anybody's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liteflow.store.history import RunRow


def arguments_of(run: RunRow) -> dict[str, Any]:
    """Return the previews of a run's arguments; none if the file does not hold them as it should."""
    try:
        found = json.loads(run.arguments_text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    # A preview is a text; a nest, which only a hostile file has, could be too deep to be shown.
    return {name: "?" if isinstance(value, dict | list) else value for name, value in found.items()}
