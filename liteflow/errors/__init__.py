"""What can go wrong, said so that the reader knows what happened, where, and what to do.

Every error that liteflow raises on purpose is here and derives from `LiteflowError`.  An
error keeps its facts as fields; the sentence is made from them when it is shown.

    LiteflowError
      DefinitionError   a task, a flow or an expression is wrong: found before anything runs
      RunError          a run did not end as asked
      StoreError        the store file cannot do what was asked of it

Errors cross process borders as pickles, and BaseException unpickles by calling its class
with positional arguments: so none is keyword-only and none is frozen, and `slots=False`
because an exception needs a `__dict__` for its notes.
"""

from __future__ import annotations

from liteflow.errors.base import (
    DefinitionError,
    LiteflowError,
    RunError,
    StoreError,
    nearest,
    shown,
)
from liteflow.errors.definitions import (
    ArgumentError,
    ArrowError,
    CycleError,
    DecoratedError,
    DuplicateKeyError,
    EdgeTypeError,
    ExecutorMissingError,
    FlowError,
    LazyAttributeError,
    LookedInsideError,
    NoCodeError,
    NotPicklableError,
    SettingError,
    TaskNotPicklableError,
    UnknownNameError,
)
from liteflow.faces import face

# As type checkers know it; to import typing for it would take longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from liteflow.errors.machine import (
        NoRoomError,
    )
    from liteflow.errors.program import (
        CommandLineError,
    )
    from liteflow.errors.runs import (
        ContextError,
        GrownTooDeepError,
        MapLengthError,
        NoOutputError,
        NotResumableError,
        OtherArgumentsError,
        ResultTypeError,
        RunCancelled,
        RunFailed,
        RunTimeoutError,
        RunTooLargeError,
        RunUnfinishedError,
        SecretMissingError,
        TaskFailedError,
        TaskTraceback,
        UnknownExecutorError,
        WorkerStartError,
    )
    from liteflow.errors.stores import (
        CodeOfOtherPythonError,
        ForeignValueError,
        KeyRefusedError,
        LeaseLostError,
        NewerStoreError,
        NoSuchRunError,
        NotAStoreError,
        OlderStoreError,
        RecordRefusedError,
        RunExistsError,
        RunOwnedError,
        StorageMissingError,
        StoreBusyError,
        StoreDamagedError,
        StoredElsewhereError,
        StoreFileError,
        StoreForkedError,
        StoreFullError,
        StoreGoneError,
        StoreMissingError,
        StorePlaceError,
        StoreReadOnlyError,
        StoreSlowError,
        StoreUnreadableError,
        ValueTooLargeError,
    )

__all__ = [
    "ArgumentError",
    "ArrowError",
    "CodeOfOtherPythonError",
    "CommandLineError",
    "ContextError",
    "CycleError",
    "DecoratedError",
    "DefinitionError",
    "DuplicateKeyError",
    "EdgeTypeError",
    "ExecutorMissingError",
    "FlowError",
    "ForeignValueError",
    "GrownTooDeepError",
    "KeyRefusedError",
    "LazyAttributeError",
    "LeaseLostError",
    "LiteflowError",
    "LookedInsideError",
    "MapLengthError",
    "NewerStoreError",
    "NoCodeError",
    "NoOutputError",
    "NoRoomError",
    "NoSuchRunError",
    "NotAStoreError",
    "NotPicklableError",
    "NotResumableError",
    "OlderStoreError",
    "OtherArgumentsError",
    "RecordRefusedError",
    "ResultTypeError",
    "RunCancelled",
    "RunError",
    "RunExistsError",
    "RunFailed",
    "RunOwnedError",
    "RunTimeoutError",
    "RunTooLargeError",
    "RunUnfinishedError",
    "SecretMissingError",
    "SettingError",
    "StorageMissingError",
    "StoreBusyError",
    "StoreDamagedError",
    "StoreError",
    "StoreFileError",
    "StoreForkedError",
    "StoreFullError",
    "StoreGoneError",
    "StoreMissingError",
    "StorePlaceError",
    "StoreReadOnlyError",
    "StoreSlowError",
    "StoreUnreadableError",
    "StoredElsewhereError",
    "TaskFailedError",
    "TaskNotPicklableError",
    "TaskTraceback",
    "UnknownExecutorError",
    "UnknownNameError",
    "ValueTooLargeError",
    "WorkerStartError",
    "nearest",
    "shown",
]

# Start-up: what only a run or a store raises is loaded when it is first asked for.
_HOMES = {
    "CodeOfOtherPythonError": "stores",
    "CommandLineError": "program",
    "ContextError": "runs",
    "ForeignValueError": "stores",
    "GrownTooDeepError": "runs",
    "KeyRefusedError": "stores",
    "LeaseLostError": "stores",
    "MapLengthError": "runs",
    "NewerStoreError": "stores",
    "NoOutputError": "runs",
    "NoRoomError": "machine",
    "NoSuchRunError": "stores",
    "NotAStoreError": "stores",
    "NotResumableError": "runs",
    "OlderStoreError": "stores",
    "OtherArgumentsError": "runs",
    "RecordRefusedError": "stores",
    "ResultTypeError": "runs",
    "RunCancelled": "runs",
    "RunUnfinishedError": "runs",
    "RunExistsError": "stores",
    "RunFailed": "runs",
    "RunOwnedError": "stores",
    "RunTimeoutError": "runs",
    "RunTooLargeError": "runs",
    "SecretMissingError": "runs",
    "StorageMissingError": "stores",
    "StoreBusyError": "stores",
    "StoreDamagedError": "stores",
    "StoreFileError": "stores",
    "StoreForkedError": "stores",
    "StoreFullError": "stores",
    "StoreGoneError": "stores",
    "StoreMissingError": "stores",
    "StorePlaceError": "stores",
    "StoreReadOnlyError": "stores",
    "StoreSlowError": "stores",
    "StoreUnreadableError": "stores",
    "StoredElsewhereError": "stores",
    "TaskFailedError": "runs",
    "TaskTraceback": "runs",
    "UnknownExecutorError": "runs",
    "ValueTooLargeError": "stores",
    "WorkerStartError": "runs",
}

__getattr__, __dir__ = face(__name__, _HOMES)
