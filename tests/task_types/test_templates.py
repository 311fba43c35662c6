"""The language of templates looks values up, and does nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteflow.task_types.faults import TemplateError, ValueRefusedError
from liteflow.task_types.templates import Reference, as_text, templates_in


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("${{ params.day }}", Reference("params", "day")),
        ("${{params.day}}", Reference("params", "day")),
        ("${{ tasks.fetch.output }}", Reference("tasks", "fetch", "output")),
        ("${{ tasks.fetch-all.exit_code }}", Reference("tasks", "fetch-all", "exit_code")),
        ('${{ tasks["my task"].output }}', Reference("tasks", "my task", "output")),
        ("${{ tasks['}}'].output }}", Reference("tasks", "}}", "output")),
        ("${{ tasks.a.output.rows[0]['k'] }}", Reference("tasks", "a", "output", ("rows", 0, "k"))),
        ("${{ tasks.a.output[-1] }}", Reference("tasks", "a", "output", (-1,))),
        ("${{ item }}", Reference("item")),
        ("${{ item.name }}", Reference("item", path=("name",))),
        ("${{ tasks.größe.output }}", Reference("tasks", "größe", "output")),
    ],
)
def test_a_template_names_a_value(text, reference):
    (template,) = templates_in(f"before {text} after")

    assert template.reference == reference
    assert (template.start, template.end) == (7, 7 + len(text))


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("a ${{ params.x", 2, "has no }}"),
        ("${{ ${{ params.x }} }}", 4, "inside another"),
        ("${{ }}", 4, "write tasks.NAME.output"),
        ("${{ parms.x }}", 4, "did you mean 'params'?"),
        ("${{ params }}", 4, "not followed by a name"),
        ("${{ tasks.x }}", 4, "tasks.x.output"),
        ("${{ tasks.x.result }}", 4, "tasks.x.output"),
        ("${{ params.x() }}", 12, "only looks values up"),
        ("${{ params.x + 1 }}", 13, "only looks values up"),
        ("${{ params.x:>999999999 }}", 12, "only looks values up"),
        ("${{ params.x!r }}", 12, "only looks values up"),
        ("${{ params.x | upper }}", 13, "only looks values up"),
        ("${{ __import__('os') }}", 4, "only looks values up"),
        ("${{ params.x[1:2] }}", 12, "only looks values up"),
    ],
)
def test_what_is_no_reference_is_refused_where_it_stands(text, offset, says):
    with pytest.raises(TemplateError) as caught:
        templates_in(text)

    assert says in str(caught.value)
    if "__import__" not in text:
        assert caught.value.offset == offset


def test_a_name_with_underscores_is_a_name_and_no_attribute():
    (template,) = templates_in("${{ params.__class__ }}")

    assert template.reference == Reference("params", "__class__")


NAMES = st.text(st.characters(exclude_characters="\"'", exclude_categories=("Cs",)), min_size=1, max_size=8)


@given(NAMES, st.lists(NAMES | st.integers(-999, 999), max_size=3))
def test_a_reference_reads_its_own_text_back(name, path):
    reference = Reference("tasks", name, "output", tuple(path))

    (template,) = templates_in(f"${{{{ {reference} }}}}")

    assert template.reference == reference


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {"a": object()}])
def test_a_value_without_a_text_of_its_own_is_refused_by_name(value):
    with pytest.raises(ValueRefusedError, match=r"the value of params\.x .* no text of its own"):
        as_text(value, "params.x")
