"""Does a declared type fit a parameter, and does a value fit an annotation?

    resolve(fn)               what a function's annotations say, strings evaluated
    fits(given, wanted)       may a value declared as `given` go where `wanted` is declared?
    problem(value, wanted)    what is wrong with this value there, if anything?
    item_type(hint, key)      the type of `value[key]`
    iterated_type(hint)       the type of the items of a list
    list_of(hint)             the type of a list of such
    returned_type(hint)       the type of what a generator function returns at its end
    tuple_length(hint)        how many values it unpacks into
    show(hint)                the type as the user wrote it
    is_secret(hint)           is what has it not to be shown?

One rule decides whatever is doubtful: **refuse only what is surely wrong**.  A missing
annotation, a name that exists for checkers only, a construct that is newer than this code:
each means anything.  Else the answers are those of mypy and pyright, but for one: values
are copied from task to task, nobody can write into a list that another holds, so containers
are covariant and a `list[int]` fits a `list[float]`.

How it is built, ground first: `evaluation` evaluates text, `forms` brings what can be
written to a few forms, `annotations` reads functions and classes, `bases` knows that a
`dict[K, V]` is an `Iterable[K]`, and `protocols` knows members; `fitting`, `looking`,
`checks`, `values` and `items` answer, and `text` says it.

No attrs here: worker processes import this, and must start fast.
"""

from liteflow.hints.annotations import resolve
from liteflow.hints.fitting import fits
from liteflow.hints.forms import is_secret
from liteflow.hints.items import item_type, iterated_type, list_of, returned_type, tuple_length
from liteflow.hints.text import show
from liteflow.hints.values import problem

__all__ = [
    "fits",
    "is_secret",
    "item_type",
    "iterated_type",
    "list_of",
    "problem",
    "resolve",
    "returned_type",
    "show",
    "tuple_length",
]
