"""Every member of the zoos has the layout of one that the engine is tested with, and a test of its table."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping

import pytest

from tests.helpers import RENDERED, learned, soft
from tests.softness import test_aggregation, test_coverage_tables, test_occlusion
from tests.zoo.aggregation import CASES as AGGREGATIONS
from tests.zoo.coverage import CASES, VARIANTS
from tests.zoo.occlusion import OCCLUSIONS
from tests.zoo.renderers import (
    EVERY,
    LAYOUTS,
    STRAIGHT_LAYOUTS,
    STRAIGHT_THROUGH,
    Layout,
    Make,
)


def layouts(members: Mapping[str, Make], names: Iterable[str]) -> dict[Layout, str]:
    return {Layout.of(members[name]()): name for name in names}


@pytest.mark.parametrize(
    ("members", "chosen"),
    [(EVERY, LAYOUTS), (STRAIGHT_THROUGH, STRAIGHT_LAYOUTS)],
    ids=["members", "straight through"],
)
def test_one_of_each_layout_is_chosen(members, chosen):
    found = layouts(members, chosen)
    assert len(found) == len(chosen), "two of those chosen have one layout"
    others = layouts(members, members).items()
    missing = {name: layout for layout, name in others if layout not in found}
    assert not missing, f"name in tests/zoo/renderers.py: {missing}"


def test_members_that_are_not_rendered_have_no_layout_of_their_own():
    found = layouts(EVERY, LAYOUTS)
    for name in CASES.keys() - set(RENDERED):
        for aggregation in ("probabilistic", "max"):
            assert Layout.of(soft(CASES[name].make(learned(1.4)), aggregation)) in found, name


def test_the_table_of_every_member_is_tested():
    (mark,) = test_coverage_tables.test_error_of_tabulation.pytestmark
    families = {prefix + name for name in mark.args[1] for prefix, _, _ in VARIANTS}
    assert CASES.keys() - {"heaviside"} <= families
    # These run over a fixture of all.
    for module, members in ((test_aggregation, AGGREGATIONS), (test_occlusion, OCCLUSIONS)):
        assert module.name._fixture_function_marker.params == tuple(members)
        assert "name" in inspect.signature(module.test_error_of_tabulation).parameters
