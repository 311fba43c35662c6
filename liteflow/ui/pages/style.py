"""The colours of states as rules of a style sheet, from the one table that all views have."""

from __future__ import annotations

from liteflow.views.states import LOOKS, UNKNOWN, Look


def state_rules() -> str:
    """Return, for each state, what its class sets: `--fill` and `--stroke`.

    >>> ".s-failed{--fill:#ffcdd2;--stroke:#c62828}" in state_rules()
    True
    """
    rules = [_rule(f"s-{state}", of) for state, of in LOOKS.items()]
    return "\n".join([*rules, _rule("s-unknown", UNKNOWN)]) + "\n"


def _rule(name: str, of: Look) -> str:
    return f".{name}{{--fill:{of.fill};--stroke:{of.stroke}}}"
