"""The state of a run as bytes: carried to another process, or kept between two events.

    liteflow arrows 1 <sha256 of the rest>\\n      damage is seen before anything is read
    {"flow": ..., "frames": [...], ...}           JSON: reading it runs nothing

Values are JSON, as what flows is.  The digest of the flow is in it, so that no state meets a flow it isn't
of.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import deque
from typing import Any

from liteflow.arrows.course import Course, Frame
from liteflow.arrows.errors import ContextError
from liteflow.arrows.graph import CompiledFlow, Region
from liteflow.engine.schedule import Schedule

_HEAD = b"liteflow arrows 1 "


def to_bytes(course: Course, told: list[tuple[str, Any]]) -> bytes:
    """The state of a course, with the ends that were told and not yet taken in.

    Raises:
        ContextError: A value in it is no JSON.
    """
    state = {
        "flow": digest(course.flow),
        "max_rounds": course.max_rounds,
        "begun": course.begun,
        "over": course.over,
        "result": course.result,
        "frames": [_frame(frame) for frame in course.frames.values()],
        "running": [[key, frame.path, place] for key, (frame, place) in course.running.items()],
        "told": told,
    }
    try:
        body = json.dumps(state, allow_nan=True, separators=(",", ":"), default=_refuse).encode()
    except (ValueError, RecursionError) as error:
        raise ContextError(f"the state of the run can't be written: {error}") from None
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _refuse(value: object) -> Any:
    raise ContextError(
        f"a {type(value).__qualname__} flows, which is no JSON, so the state can't be written; "
        "let steps give JSON"
    )


def from_bytes(flow: CompiledFlow, data: bytes) -> tuple[Course, list[tuple[str, Any]]]:
    """The inverse of `to_bytes`.

    Raises:
        ContextError: The bytes are damaged, or of another flow.
    """
    head, _, body = bytes(data).partition(b"\n")
    if not head.startswith(_HEAD):
        raise ContextError("these bytes are no state of a run; give what Context.to_bytes() has given")
    if head.removeprefix(_HEAD) != hashlib.sha256(body).hexdigest().encode():
        raise ContextError(
            "the state of the run is damaged: its checksum doesn't fit; go back to an earlier one"
        )
    state = json.loads(body)
    if state["flow"] != digest(flow):
        raise ContextError(
            "this is the state of a run of another flow; give the flow that it was written with"
        )
    course = Course(flow, state["max_rounds"])
    course.begun, course.over, course._result = state["begun"], state["over"], state["result"]
    # Each frame was opened after the one it lies in.
    for one in state["frames"]:
        course.frames[one["path"]] = _read_frame(course, one)
    course.running = {key: (course.frames[path], place) for key, path, place in state["running"]}
    return course, [(key, output) for key, output in state["told"]]


def digest(flow: CompiledFlow) -> str:
    """What tells a flow from another: its nodes, edges, guards and parameters."""
    found = hashlib.sha256()
    for region in flow.regions():
        for node in region.nodes:
            guard = node.guard and node.guard.expression
            facts = [node.kind.value, node.sources, node.name, node.base, node.parameters, node.value]
            facts += [node.merge, guard, node.number, node.partner, node.each]
            found.update(json.dumps(facts).encode())
        found.update(json.dumps([[loop.source, loop.target] for loop in region.loops]).encode())
    return found.hexdigest()


def _frame(frame: Frame) -> dict[str, Any]:
    return {
        "path": frame.path,
        "parent": frame.parent.path if frame.parent else None,
        "node": frame.node,
        "item": frame.item,
        "mark": frame.mark,
        "entry": frame.entry,
        "schedule": base64.b64encode(frame.schedule.to_bytes()).decode(),
        "places": frame.places,
        "values": list(frame.values.items()),
        "uses": frame.uses,
        "passed": sorted(frame.passed),
        "fired": list(frame.fired),
        "round": frame.round,
        "items": [[place, *lists] for place, lists in frame.items.items()],
    }


def _read_frame(course: Course, one: dict[str, Any]) -> Frame:
    parent = course.frames[one["parent"]] if one["parent"] is not None else None
    region: Region | None = course.flow.root if parent is None else parent.region.nodes[one["node"]].region
    assert region is not None  # the flow is the one it was written with
    places = None if one["places"] is None else tuple(one["places"])
    return Frame(
        region,
        one["path"],
        one["mark"],
        (one["entry"][0], one["entry"][1]),
        parent,
        one["node"],
        one["item"],
        Schedule.from_bytes(base64.b64decode(one["schedule"])),
        places,
        None if places is None else {place: number for number, place in enumerate(places)},
        dict(one["values"]),
        one["uses"],
        set(one["passed"]),
        deque((target, value) for target, value in one["fired"]),
        one["round"],
        {place: (outputs, missing, ran) for place, outputs, missing, ran in one["items"]},
    )
