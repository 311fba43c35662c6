"""`liteflow scaffold`: a workflow script to begin with, which runs as it is."""

from __future__ import annotations

import typer

from liteflow.cli.common import examples
from liteflow.cli.output import say

SCRIPT = '''\
"""A workflow to begin with: run it with `python FILE`, or with `liteflow run FILE`."""

from liteflow import flow, task


@task
def extract(words: int) -> list[str]:
    """Get the data; here it is made up."""
    text = "to be or not to be that is the question"
    return text.split()[:words]


# Tried up to three times more when it fails, half a second, one second and two seconds later.
@task(retries=3, retry_delay=0.5, backoff=2, timeout=60)
def transform(rows: list[str], scale: float = 1.0) -> dict[str, float]:
    """Count the words; what a task prints is kept in its logs."""
    print(f"counting {len(rows)} words")
    return {word: rows.count(word) * scale for word in sorted(set(rows))}


@task
def load(counts: dict[str, float], title: str) -> str:
    """Say what came out."""
    most = max(counts, key=counts.__getitem__)
    return f"{title}: {len(counts)} words, most often {most!r}"


@flow
def count_words(words: int = 10, title: str = "Hamlet") -> str:
    """Nothing runs here: the calls say what depends on what."""
    return extract(words) >> transform(scale=1.0) >> load(title=title)


if __name__ == "__main__":
    run = count_words.run()
    print(run.result)

# Other arguments:   liteflow run FILE words=6 title=Short transform.scale=2.5
# What happened:     liteflow show latest      and the logs:   liteflow logs latest
# As a picture:      liteflow visualize latest
'''


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog=examples("liteflow scaffold > my_workflow.py", "liteflow run my_workflow.py"))
    def scaffold() -> None:
        """Print a workflow script to begin with; it runs as it is."""
        say(SCRIPT.rstrip("\n"))
