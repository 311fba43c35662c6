"""Digests of values: equal ones have equal digests, and what calls give is told by its place."""

from __future__ import annotations

from itertools import permutations

from liteflow import Flow, task
from liteflow.fingerprint import digest_of


class Opaque:
    """Something that another stands for."""


def test_a_list_of_what_others_stand_for_is_told_by_who_stands_where():
    parts = [Opaque(), Opaque(), Opaque()]
    names = {id(part): name for part, name in zip(parts, "abc", strict=True)}

    digests = {digest_of(list(order), lambda part: names.get(id(part))) for order in permutations(parts)}

    assert len(digests) == 6


def test_other_things_with_the_same_stand_ins_have_the_same_digest():
    assert digest_of([Opaque(), Opaque()], lambda _: "x") == digest_of([Opaque(), Opaque()], lambda _: "x")


def test_a_list_of_calls_and_of_numbers_is_told_from_one_of_calls():
    @task
    def number(n: int) -> int:
        return n

    @task
    def total(values: list[int]) -> int:
        return sum(values)

    def digest(values: list[object]) -> bytes:
        return Flow("f", total(values)).compile().node("total").args[0].digest

    one, two = number(1), number(2)
    assert len({digest([one, two]), digest([one, two, 3]), digest([one, 3, two]), digest([3, one, two])}) == 4
    # By the places of the calls in the list, whichever they are.
    assert digest([one, two]) == digest([two, one])
