"""The store file cannot do what was asked of it."""

from __future__ import annotations

from time import gmtime, strftime

from attrs import define

from liteflow.errors.base import DefinitionError, StoreError, shown


@define(eq=False, slots=False, repr=False)
class StoreFileError(StoreError):
    """Something is the matter with a store file; the subclasses say what.

    `path` is the file, `detail` what was found or what SQLite said.  The subclasses are not
    decorated: they have the same facts, and each attrs class costs every program start-up time.
    """

    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: SQLite says: {self.detail}; if that tells you nothing, please report it"


class StorePlaceError(StoreFileError):
    """A store can't be where it was asked to be."""

    def __str__(self) -> str:
        return f"{self.path} can't hold a store: {self.detail}"


class StoreMissingError(StoreFileError):
    """There is no file to look into."""

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}; a store is made by the first run that writes to it"


class NotAStoreError(StoreFileError):
    """The file is there and is something else; it was left as it is."""

    def __str__(self) -> str:
        return f"{self.path} is no store of liteflow: {self.detail}; it was left untouched, name another file"


class NewerStoreError(StoreFileError):
    """The file was written by a newer liteflow; it was left as it is."""

    def __str__(self) -> str:
        return f"{self.path} is of a newer liteflow ({self.detail}); it was left untouched, upgrade liteflow"


class OlderStoreError(StoreFileError):
    """The file is of an older schema, which only a writer may bring up to date."""

    def __str__(self) -> str:
        return f"{self.path} is of an older liteflow ({self.detail}); any run that writes to it updates it"


class StoreReadOnlyError(StoreFileError):
    """The file or its directory may only be read."""

    def __str__(self) -> str:
        return (
            f"{self.path} can't be written ({self.detail}): allow writing to the file and to its directory, "
            "where SQLite keeps a log beside it, or name another file"
        )


class StoreUnreadableError(StoreFileError):
    """The file may not be read, or not with what belongs to it."""

    def __str__(self) -> str:
        return f"{self.path} can't be read: {self.detail}"


class StoreFullError(StoreFileError):
    """There is no space left for what was to be written."""

    def __str__(self) -> str:
        return (
            f"the disk is full: {self.path} can't grow ({self.detail}); what had been committed is kept, "
            "so make space and go on"
        )


class StoreBusyError(StoreFileError):
    """Another program holds the file's lock for too long."""

    def __str__(self) -> str:
        return (
            f"{self.path} is locked by another program ({self.detail}); end what writes to it "
            "(see: fuser, lsof), then try again"
        )


class StoreGoneError(StoreFileError):
    """The file was removed or replaced while it was in use, so nothing more is written to it."""

    def __str__(self) -> str:
        return (
            f"{self.path} was {self.detail} while a run was writing to it; what this run did since "
            "is lost: put the file back, or start a new run"
        )


class StoreDamagedError(StoreFileError):
    """What the file holds is not what was written."""

    def __str__(self) -> str:
        return (
            f"{self.path} is damaged: {self.detail}; keep a copy of it (with its -wal file), "
            "restore a backup, or save what can be read with: sqlite3 FILE .recover"
        )


class StoreSlowError(StoreFileError):
    """Reading was given up: the file is far larger than it looks, or made to be slow."""

    def __str__(self) -> str:
        return f"{self.path}: reading was given up, {self.detail}"


class StoreForkedError(StoreFileError):
    """A forked copy of a driver tried to write: two processes on one connection destroy the file."""

    def __str__(self) -> str:
        return (
            f"{self.path} was opened by another process ({self.detail}); a forked child can't go on with "
            "its parent's run, start one of its own there"
        )


class RecordRefusedError(StoreFileError):
    """What was to be written contradicts what is stored: a bug in liteflow, not a fault of the file."""

    def __str__(self) -> str:
        return f"{self.path} refuses what was written: {self.detail}; a bug in liteflow, please report it"


class ValueTooLargeError(StoreFileError):
    """A value is larger than SQLite can hold in one place."""

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}; write large data to a file and pass its path"


@define(eq=False, slots=False, repr=False)
class RunExistsError(StoreError, ValueError):
    """A run is to have an id that another run has already."""

    run_id: str
    path: str

    def __str__(self) -> str:
        return f"there is a run {self.run_id!r} in {self.path} already; give another run_id"


@define(eq=False, slots=False, repr=False)
class NoSuchRunError(StoreError, LookupError):
    """No run, or more than one, is meant by `ref`.

    `latest` are a few runs to choose from, each in one line; `ambiguous` says that they are
    those that `ref` could mean, not just the latest.
    """

    ref: str
    path: str
    latest: tuple[str, ...]
    ambiguous: bool

    def __str__(self) -> str:
        runs = "; ".join(self.latest)
        if self.ambiguous:
            ref = shown(self.ref)
            return f"{ref} is the beginning of several run ids in {self.path}: {runs}; give more of it"
        if not runs:
            return f"there is no run {shown(self.ref)} in {self.path}: it has no runs at all yet"
        return f"there is no run {shown(self.ref)} in {self.path}; the latest are: {runs}"


@define(eq=False, slots=False, repr=False)
class RunOwnedError(StoreError):
    """Another driver has the run: process `pid` on `host`, since `since` (unix seconds).

    `silent` is for how many seconds nothing was heard of it, where that is all that can be
    known; None: it lives.
    """

    run_id: str
    path: str
    host: str
    pid: int
    since: float
    silent: float | None = None

    def __str__(self) -> str:
        began = strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(self.since))
        who = f"process {self.pid} on {self.host} (since {began})"
        if self.silent is None:
            what = f"wait for it to end, or end it (kill {self.pid})"
        else:
            what = (
                f"it can't be looked at from here, and was heard of {self.silent:.0f} s ago: wait for it to "
                "end, or, if it is dead, until nothing has been heard of it for 30 s"
            )
        return f"run {self.run_id!r} in {self.path} is being driven by {who}; {what}, then try again"


@define(eq=False, slots=False, repr=False)
class LeaseLostError(StoreError):
    """Another driver has taken the run over while this one was silent; nothing more is written here.

    `host` and `pid` say who has it now; None: nobody.
    """

    run_id: str
    path: str
    host: str | None
    pid: int | None

    def __str__(self) -> str:
        now = "has ended" if self.pid is None else f"is driven by process {self.pid} on {self.host} now"
        return (
            f"run {self.run_id!r} in {self.path} {now}: it was taken over while this process was silent; "
            "what had been committed is kept, nothing more is written from here"
        )


class KeyRefusedError(StoreFileError):
    """The key that tells a user's values from others' is no secret, or no key; `path` is where it lies."""

    def __str__(self) -> str:
        return f"{self.path} can't be the key that stored values are checked with: {self.detail}"


@define(eq=False, slots=False, repr=False)
class ForeignValueError(StoreError):
    """What is stored may be of someone else, and reading it would run their code.

    `path` is the file, `what` is to be read, `key_id` names the key that it says it was made with;
    None: it names none.
    """

    path: str
    what: str
    key_id: str | None

    def __str__(self) -> str:
        made = f"was made with key {self.key_id}" if self.key_id else "was not made with a key of yours"
        return (
            f"{self.what} in {self.path} {made}; its values are Python pickles that can run code: "
            "if you know where it comes from, use --trust (trust=True)"
        )


@define(eq=False, slots=False, repr=False)
class StorageMissingError(DefinitionError, ImportError):
    """A storage for large values needs what is not installed; `why` says what was missed."""

    url: str
    why: str

    def __str__(self) -> str:
        return (
            f"xcom_storage {self.url!r} needs what is not installed ({self.why}): "
            "pip install 'liteflow[storage]', and fsspec's package for such URLs (s3fs, gcsfs, ...); "
            "file:///a/folder needs nothing"
        )


@define(eq=False, slots=False, repr=False)
class StoredElsewhereError(StoreError):
    """A value lies in a storage beside the store, and can't be put there, or not be had from there.

    `task` is what has made it, `address` where it lies, `problem` what happened.
    """

    task: str
    address: str
    problem: str

    def __str__(self) -> str:
        return (
            f"the value of task {self.task} at {self.address} {self.problem}; see to the storage, "
            f"and resume the run, or run what is lost again: liteflow run FILE --from {self.task}"
        )


@define(eq=False, slots=False, repr=False)
class CodeOfOtherPythonError(StoreError):
    """A value holds code of another Python, which would crash this one; versions as in "3.11"."""

    run_id: str
    key: str
    made_by: str
    this: str

    def __str__(self) -> str:
        return (
            f"the value of {self.key!r} in run {self.run_id} holds code of Python {self.made_by}, "
            f"which Python {self.this} can't run; read it with Python {self.made_by}, or run the task again"
        )
