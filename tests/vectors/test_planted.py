"""Every planted bug is caught by the core set named beside it; random sets of the same size are counted beside."""

from __future__ import annotations

import pytest

from tests.vectors.planted import BUGS, core_rows, count_differences, qualify, random_rows, right_cast, table

RECIPES = tuple(dict.fromkeys(bug.recipe for bug in BUGS))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.id)
def test_without_a_bug_the_cast_is_right(recipe):
    cast = right_cast(recipe)
    assert count_differences(cast, recipe, core_rows(recipe)) == 0
    assert count_differences(cast, recipe, random_rows(recipe, "bits")) == 0
    assert count_differences(cast, recipe, random_rows(recipe, "normal")) == 0


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_core_set_catches(bug):
    assert count_differences(bug.cast, bug.recipe, core_rows(bug.recipe)) > 0


def test_directed_sets_catch_more_than_random_ones(record_property):
    scores = qualify()
    lines = table(scores)
    print("\n".join(lines))
    record_property("planted_bugs", lines[-1])
    missed_by_bits = [score.name for score in scores if score.random_bits == 0]
    missed_by_normal = [score.name for score in scores if score.random_normal == 0]
    assert len(scores) >= 18
    assert "ties away from zero" in missed_by_bits
    assert "ties away from zero" in missed_by_normal
    assert all(score.caught > 0 for score in scores)


def test_the_ties_away_bug_alters_exactly_the_ties():
    # 126 = both signs of the 63 ties whose lower neighbour is even, that of 448 and the missing 480 included.
    ties_away = next(score for score in qualify() if score.name == "ties away from zero")
    assert ties_away.caught == 126
