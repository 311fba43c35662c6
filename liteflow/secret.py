"""Secrets: text that a flow is given, and that is used but never shown.

    def deploy(host: str, token: Secret)          a parameter says that it takes one
    "s3cr3t" --SecretText--> arguments of calls   knows that it is one, until it is with its task
    what is written of a run --Mask--> "***"      wherever the same text stands

What is not found: a secret that was changed (encoded, cut up, turned round), one that a task has made
or fetched itself, and one of fewer than SHORTEST characters, which any text may hold by chance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import quote, quote_plus

from liteflow.errors import ArgumentError
from liteflow.hints import is_secret
from liteflow.options import SECRET_PREFIX
from liteflow.parameters import Parameter
from liteflow.redaction import HIDDEN

SHORTEST: Final = 3
"""Shorter secrets are not looked for in texts."""


class SecretMark:
    """Stands in an annotation: what has it is a secret."""

    _is_secret = True

    def __repr__(self) -> str:
        return "secret"


Secret = Annotated[str, SecretMark()]
"""The annotation of a parameter that takes a secret: text, which no record, log or picture shows.

A run that is not given it takes it from the environment: LITEFLOW_SECRET_TOKEN for `token`.  It is not
stored; a resume takes it from there again, or from `secrets={...}`.

>>> from liteflow import flow, task
>>> @task
... def sign_in(token: str) -> str:
...     print("with", token)
...     return f"signed in with {token}"
>>> @flow
... def session(token: Secret):
...     return sign_in(token)
>>> run = session.run(token="hunter2", db=None, executor="inline")
with ***
>>> run.logs("sign_in")[0].line
'with ***'
>>> run.result
'signed in with hunter2'
"""


class SecretText(str):
    """A secret as a flow gets it: text like any other, which says in its repr, and to who asks, what it is.

    A task gets plain text.

    >>> token = SecretText("hunter2", "token")
    >>> token, token == "hunter2", f"Bearer {token}"
    (***, True, 'Bearer hunter2')
    """

    __slots__ = ("_secret_name",)

    _is_secret = True
    _secret_name: str

    def __new__(cls, text: str, name: str) -> SecretText:
        """Mark a text as the secret of that name."""
        made = super().__new__(cls, text)
        made._secret_name = name
        return made

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        return str, (str.__str__(self),)


# Messages call types by their names, and what its author has annotated is this.
SecretText.__name__ = SecretText.__qualname__ = "Secret"


def variable_of(argument: str) -> str:
    """Return the variable of the environment that a secret is taken from.

    Args:
        argument: A parameter of the flow, or `key.parameter` of a call.

    >>> variable_of("token"), variable_of("sign in.token")
    ('LITEFLOW_SECRET_TOKEN', 'LITEFLOW_SECRET_SIGN_IN_TOKEN')
    """
    return SECRET_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", argument).upper()


def secrets_in(environment: Mapping[str, str], parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """Return the secrets that the environment has for a flow, by parameter."""
    variables = {name: variable_of(name) for name, p in parameters.items() if is_secret(p.annotation)}
    return {name: environment[found] for name, found in variables.items() if found in environment}


def refuse_others(flow: str, parameters: Mapping[str, Parameter], given: Iterable[str]) -> None:
    """Refuse what a resume is given beside secrets.

    Raises:
        ArgumentError: Which one is none.
    """
    for name in given:
        if name in parameters and not is_secret(parameters[name].annotation):
            problem = "is no secret: a run goes on with the arguments that it was begun with"
            raise ArgumentError(f"flow {flow}", name, problem)


class Mask:
    r"""Hides secrets in texts.

    It looks for them as they are, line by line if they have several, and as JSON, `repr` and addresses
    write them.

    >>> mask = Mask(["hunter2", 'a"b c'])
    >>> mask.text('say hunter2, "a\\"b c", ?q=a%22b%20c')
    'say ***, "***", ?q=***'
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST}
        # The longest first: it may begin with another.
        forms = sorted(found, key=lambda form: (-len(form), form))
        self._bytes = [form.encode("utf-8", "backslashreplace") for form in forms]
        self._pattern = re.compile("|".join(map(re.escape, forms)) or r"(?!)")
        self._starts = _Starts(forms)
        self._ends = _Starts([form[::-1] for form in forms])

    def text(self, text: str) -> str:
        """Return a text without the secrets in it."""
        return self._pattern.sub(HIDDEN, text)

    def shortened(self, text: str) -> str:
        """Return the same of a text that may have been cut, perhaps in the middle of a secret.

        >>> Mask(["hunter2"]).shortened("'it is hunt...")
        "'it is ***..."
        """
        parts = _CUT.split(self.text(text))
        for place in range(0, len(parts) - 1, 2):
            before, after = parts[place], parts[place + 2]
            begun = self._starts.at_end_of(before, SHORTEST)
            ended = self._ends.at_end_of(after[::-1], SHORTEST)
            parts[place] = before[: len(before) - begun] + HIDDEN if begun else before
            parts[place + 2] = HIDDEN + after[ended:] if ended else after
        return "".join(parts)

    def piece(self, text: str, begun: str = "", *, goes_on: bool) -> tuple[str, str]:
        """Return the same of a piece of a line, and what of a secret may have begun in it.

        Args:
            text: The piece.
            begun: What had begun in the piece before it.
            goes_on: Whether another one follows.

        >>> mask = Mask(["hunter2"])
        >>> mask.piece("it is hunt", goes_on=True), mask.piece("er2, then", "hunt", goes_on=False)
        (('it is ***', 'hunt'), (', then', ''))
        """
        found = self._pattern.search(begun + text) if begun else None
        if found is not None and found.start() < len(begun):
            text = text[max(0, found.end() - len(begun)) :]
        shown = self.text(text)
        length = self._starts.at_end_of(shown, 1) if goes_on else 0
        return (shown[:-length] + HIDDEN, shown[-length:]) if length else (shown, "")

    def holds(self, data: bytes) -> bool:
        """Whether bytes hold a secret."""
        return any(form in data for form in self._bytes)


class _Starts:
    """Finds what may be the beginning of a secret at the end of a text."""

    def __init__(self, forms: Sequence[str]) -> None:
        self._longest = max(map(len, forms), default=0)
        # A key of some lines has many forms: most places of a text are none of theirs.
        self._by_head: dict[str, list[str]] = {}
        for form in forms:
            for size in range(1, SHORTEST + 1):
                self._by_head.setdefault(form[:size], []).append(form)

    def at_end_of(self, text: str, least: int) -> int:
        """How many characters at the end of a text a secret begins with; 0 if they are fewer than `least`."""
        for size in range(min(len(text), self._longest - 1), least - 1, -1):
            end = text[-size:]
            if any(form.startswith(end) for form in self._by_head.get(end[:SHORTEST], ())):
                return size
        return 0


# How texts are cut: previews and errors at their end, tracebacks in their middle.
_CUT = re.compile(r"(\n\.\.\. \d+ characters left out \.\.\.\n|\.\.\.|…)")


def _forms(secret: str) -> Iterator[str]:
    for text in (secret, *secret.splitlines()):
        plain = text.strip()
        yield from (text, plain, repr(plain)[1:-1], json.dumps(plain)[1:-1])
        yield json.dumps(plain, ensure_ascii=False)[1:-1]
        try:
            # What is no UTF-8 in a variable of the environment is written as the bytes that it is.
            data = plain.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            # No address can have it.
            continue
        yield from (quote(data), quote(data, ""), quote_plus(data))
