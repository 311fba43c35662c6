"""How many random examples a law is tried with: some each time, all of them in a soak (`-m soak`)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No time is a promise: on a busy machine a single draw may take a second.
_TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("usual", _TIMELESS, max_examples=30)
settings.register_profile("soak", _TIMELESS, max_examples=100)


def choose(*, soak: bool) -> None:
    """Choose how many examples there are; before the tests are imported."""
    settings.load_profile("soak" if soak else "usual")


def examples(full: int, usual: int | None = None) -> int:
    """How many examples to try now.

    Args:
        full: So many in a soak.
        usual: So many else; by default three tenths of them.
    """
    if settings.get_current_profile_name() == "soak":
        return full
    return usual if usual is not None else full * 3 // 10
