"""What `task.map` and `task.starmap` compile to: one node, with the items that are there."""

import resource
import time
from typing import Any

import pytest
from dags import dag_of, number

from liteflow import Flow, Mapped, flow, pickling, task, unmapped
from liteflow.dag import Dag, Edge, Hole, Node, Spread
from liteflow.errors import ArgumentError, ArrowError, LookedInsideError, SettingError, UnknownNameError
from liteflow.mapped import MapPolicy
from liteflow.pickling import Packed, unpack


@task
def double(x: int) -> int:
    return 2 * x


@task
def add(a: int, b: int, *, c: int = 0) -> int:
    return a + b + c


@task
def numbers(n: int = 3) -> list[int]:
    return list(range(n))


@task
def pairs() -> list[tuple[int, int]]:
    return [(1, 2)]


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def collect(*rest: Any, **extra: Any) -> Any:
    return rest, extra


def only(dag: Dag) -> Node:
    (node,) = dag.nodes
    return node


# --- one node a map ---------------------------------------------------------------------------


def test_a_map_is_one_node_that_holds_the_items():
    node = only(dag_of(double.map([1, 2, 3])))

    assert (node.key, node.args, dict(node.kwargs)) == ("double", (Spread((1, 2, 3)),), {})
    assert node.map == MapPolicy(max_active=None, on_error="raise", star=False)


def test_an_ordinary_call_has_no_map_policy():
    assert only(dag_of(double(1))).map is None


@pytest.mark.parametrize(
    "iterable",
    [[0, 1, 2], (0, 1, 2), range(3), {0: "a", 1: "b", 2: "c"}.keys(), iter([0, 1, 2]), (n for n in range(3))],
    ids=lambda iterable: type(iterable).__name__,
)
def test_any_iterable_that_has_an_order_can_be_mapped_over(iterable):
    assert only(dag_of(double.map(iterable))).args == (Spread((0, 1, 2)),)


def test_a_map_over_nothing_yet_is_a_map_over_an_empty_list():
    assert only(dag_of(double.map([]))).args == (Spread(()),)


def test_a_list_is_read_when_the_map_is_made():
    items = [1, 2]
    mapped = double.map(items)
    items.append(3)

    assert only(dag_of(mapped)).args == (Spread((1, 2)),)


def test_items_that_are_no_atoms_are_pickled_each():
    (spread,) = only(dag_of(total.map([[1], [2, 3]]))).args

    assert [unpack(item.data, []) for item in spread.items] == [[1], [2, 3]]


def test_how_items_are_run_is_kept():
    node = only(dag_of(double.map([1], max_active=4, on_error="collect")))

    assert (node.map.max_active, node.map.on_error) == (4, "collect")


def test_a_mapped_call_can_be_named():
    mapped = double.map([1]).named("all of them")

    assert isinstance(mapped, Mapped)
    assert only(dag_of(mapped)).key == "all of them"


def test_maps_and_calls_of_one_task_are_counted_together():
    dag = dag_of([double(1), double.map([1]), double(2)])

    assert [node.key for node in dag.nodes] == ["double", "double-2", "double-3"]


# --- several lists, and what is unmapped ------------------------------------------------------


def test_several_lists_are_spread_side_by_side():
    node = only(dag_of(add.map([1, 2], [3, 4], c=[5, 6])))

    assert node.args == (Spread((1, 2)), Spread((3, 4)))
    assert node.kwargs == {"c": Spread((5, 6))}


def test_what_is_unmapped_goes_to_every_item_as_it_is():
    dag = dag_of(add.map([1, 2], unmapped(10), c=unmapped(numbers()[0])))

    assert dag.node("add").args == (Spread((1, 2)), 10)
    assert dag.node("add").kwargs == {"c": Hole(0, (0,))}


def test_an_unmapped_list_is_one_value():
    (spread, packed) = only(dag_of(task(lambda x, ys: x).map([1], unmapped([7, 8])))).args

    assert spread == Spread((1,))
    assert isinstance(packed, Packed)
    assert unpack(packed.data, []) == [7, 8]


def test_a_default_that_a_call_could_change_is_not_mapped():
    @task
    def gather(x: int, into: list[int] = []) -> list[int]:  # noqa: B006
        return [*into, x]

    (spread, packed) = only(dag_of(gather.map([1, 2]))).args

    assert spread == Spread((1, 2))
    assert unpack(packed.data, []) == []


def test_rest_and_extra_arguments_are_mapped_one_by_one():
    node = only(dag_of(collect.map([1, 2], unmapped(0), k=[3, 4], m=unmapped(5))))

    assert node.args == (Spread((1, 2)), 0)
    assert node.kwargs == {"k": Spread((3, 4)), "m": 5}
    assert [name for name, _ in node.arguments()] == ["rest", "rest", "k", "m"]


# --- lazy lists -------------------------------------------------------------------------------


def test_a_map_over_a_lazy_list_waits_for_it():
    dag = dag_of(double.map(numbers()))

    assert dag.node("double").args == (Spread(Hole(0)),)
    assert dag.node("double").inputs == (0,)
    assert dag.node("double").feeds() == {"x": (0,)}
    assert dag.edges == (Edge("numbers", "double", "x"),)


def test_a_chain_of_maps_and_a_reduction_compile_to_a_node_each():
    dag = dag_of(total(double.map(double.map(numbers()))))

    assert [node.key for node in dag.nodes] == ["numbers", "double", "double-2", "total"]
    assert [node.map is not None for node in dag.nodes] == [False, True, True, False]
    assert dag.leaves == ("total",)


def test_lazy_values_may_be_items_of_a_plain_list():
    dag = dag_of(double.map([number(7), 5, numbers()[1]]))

    assert dag.node("double").args == (Spread((Hole(0), 5, Hole(1, (1,)))),)
    assert dag.node("double").inputs == (0, 1)


def test_lazy_values_may_stand_inside_items():
    dag = dag_of(total.map([[number(7), 1], [2]]))

    assert dag.node("total").feeds() == {"values": (0,)}


def test_an_item_of_a_mapped_result_is_lazy_too():
    dag = dag_of(double(double.map([1, 2])[1]))

    assert dag.node("double-2").args == (Hole(0, (1,)),)


@pytest.mark.parametrize("use", [len, list, bool, str])
def test_a_mapped_result_is_not_there_yet(use):
    with pytest.raises(LookedInsideError, match=r"double\.map\(\) has not run yet"):
        use(double.map([1, 2]))


# --- >> ---------------------------------------------------------------------------------------


def test_an_arrow_feeds_the_first_list_that_is_left_free():
    dag = dag_of(numbers() >> add.map(b=[1, 2, 3]))

    assert dag.node("add").args == (Spread(Hole(0)), Spread((1, 2, 3)))


def test_a_tuple_left_of_an_arrow_feeds_several_lists():
    dag = dag_of((numbers(), numbers()) >> add.map())

    assert dag.node("add").args == (Spread(Hole(0)), Spread(Hole(1)))


def test_a_list_left_of_an_arrow_is_mapped_over():
    dag = dag_of([number(1), number(2)] >> double.map())

    assert dag.node("double").args == (Spread((Hole(0), Hole(1))),)


def test_an_arrow_feeds_rest_arguments_with_lists():
    dag = dag_of((numbers(), numbers()) >> collect.map())

    assert dag.node("collect").args == (Spread(Hole(0)), Spread(Hole(1)))


def test_an_arrow_to_a_map_that_has_its_lists_only_orders():
    node = dag_of(numbers() >> double.map([1])).node("double")

    assert (node.args, node.after) == ((Spread((1,)),), (0,))


def test_an_arrow_fans_out_to_maps():
    fanned = numbers() >> [double.map(), total()]

    assert [node.key for node in dag_of(fanned).nodes] == ["numbers", "double", "total"]


# --- starmap ----------------------------------------------------------------------------------


def test_a_starmap_spreads_tuples():
    node = only(dag_of(add.starmap([(1, 2), [3, 4]], c=[5, 6])))
    (spread,) = node.args

    assert [unpack(item.data, []) for item in spread.items] == [(1, 2), [3, 4]]
    assert node.kwargs == {"c": Spread((5, 6))}
    assert node.map.star
    assert [name for name, _ in node.arguments()] == ["*", "c"]


def test_an_arrow_feeds_the_tuples_of_a_starmap():
    dag = dag_of(pairs() >> add.starmap(c=unmapped(1)))

    assert dag.node("add").args == (Spread(Hole(0)),)
    assert dag.edges == (Edge("pairs", "add", "*"),)


def test_a_second_arrow_to_a_starmap_only_orders():
    starred = pairs() >> add.starmap()
    numbers() >> starred

    assert dag_of(starred).node("add").after == (1,)


def test_several_values_are_no_list_of_tuples():
    with pytest.raises(ArrowError, match=r"2 values flow to add\.starmap\(\)"):
        (pairs(), pairs()) >> add.starmap()


# --- flows ------------------------------------------------------------------------------------


def test_a_free_list_is_a_parameter_of_a_flow():
    made = Flow("f", double.map() >> total())

    assert list(made.parameters) == ["x"]
    assert made.compile(x=[1, 2]).node("double").args == (Spread((1, 2)),)
    assert made.compile(x=(3,)).node("double").args == (Spread((3,)),)
    with pytest.raises(ArgumentError, match=r"flow f: 'x'\[1\] is 'a' \(str\), not int"):
        made.compile(x=[1, "a"])
    with pytest.raises(ArgumentError, match=r"'x' is 5 \(int\), not"):
        made.compile(x=5)


def test_a_flow_with_a_map_can_stand_in_another_flow():
    inner = Flow("inner", double.map(numbers(), on_error="skip").named("doubled") >> total())

    @flow
    def outer() -> list[int]:
        return [inner(), Flow("other", double.map())(x=numbers())[0]]

    dag = outer.compile()

    assert [node.key for node in dag.nodes] == ["numbers", "doubled", "total", "numbers-2", "double"]
    assert dag.node("doubled").map == MapPolicy(on_error="skip")
    assert dag.node("double").args == (Spread(Hole(3)),)


def test_inputs_of_a_run_are_mapped_where_the_argument_was():
    made = Flow("f", add.map([1], unmapped(2)))

    node = made.compile(inputs={"add.a": [7, 8], "add.b": 9, "add.c": 3}).node("add")

    assert node.args == (Spread((7, 8)), 9)
    assert node.kwargs == {"c": 3}


# --- digests ----------------------------------------------------------------------------------


def digest(mapped: object) -> bytes:
    return dag_of(mapped).nodes[-1].args[0].digest


def test_equal_lists_have_equal_digests_wherever_their_lazy_values_come_from():
    first = double.map([number(1), 5, numbers()[0]])
    second = [numbers(9), double.map([number(2), 5, numbers()[0]])][1]

    assert digest(first) == digest(second)
    assert digest(double.map([1, 2])) == digest(double.map(iter((1, 2))))
    assert digest(total.map([[1], [2]])) == digest(total.map(([1], [2])))


def test_other_lists_have_other_digests():
    some = [
        double.map([]),
        double.map([1, 2]),
        double.map([2, 1]),
        double.map([1, 2, 3]),
        double.map([True, 2]),
        double.map([number(1), 2]),
        double.map(numbers()),
        double.map(task(lambda: {"k": [1]})()["k"]),
        total.map([[1], [2]]),
        total.map([[1], [3]]),
        double.map(range(10_000)),
        double.map(range(10_001)),
    ]

    assert len({digest(mapped) for mapped in some}) == len(some)


def test_a_digest_is_the_same_in_every_process():
    # blake2b of "[1, 2]": what a store holds must mean the same to the next version.
    assert digest(double.map([1, 2])).hex() == "74f912167ab67550"


# --- size (B11) -------------------------------------------------------------------------------


def test_a_million_numbers_compile_in_well_under_a_second_and_little_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    dag = dag_of(double.map(range(1_000_000)))
    # What a run asks for.
    assert (len(dag.edges), len(digest(double.map(range(1_000_000))))) == (0, 8)

    assert time.process_time() - start < 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    assert len(dag.node("double").args[0].items) == 1_000_000


# --- what is refused at once ------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting", [{"max_active": 0}, {"max_active": "2"}, {"max_active": True}, {"on_error": "no"}]
)
def test_settings_of_a_map_have_ranges(setting):
    (name,) = setting
    with pytest.raises(SettingError, match=f"{name} must be"):
        double.map([1], **setting)
    with pytest.raises(SettingError, match=f"{name} must be"):
        double.starmap([(1,)], **setting)


def test_the_arguments_of_a_map_are_those_of_the_task():
    with pytest.raises(UnknownNameError, match=r"did you mean 'x'"):
        double.map(xx=[1])
    with pytest.raises(ArgumentError, match="takes 1 positional argument"):
        double.map([1], [2])
    with pytest.raises(ArgumentError, match="given twice"):
        double.map([1], x=[2])
    with pytest.raises(ArgumentError, match=r"add\.starmap\(\) takes one list of tuples by position"):
        add.starmap([1], [2])
    with pytest.raises(ArgumentError, match="takes one list of tuples by position"):
        add.starmap(unmapped([(1, 2)]))


def test_a_map_that_was_compiled_stays_picklable_as_a_part_of_arguments():
    policy = MapPolicy(max_active=2, on_error="skip", star=True)

    assert pickling.loads(pickling.dumps(policy).data) == policy
