"""The table and the pictures of training in low-bit formats are those of the committed results."""

import pytest

pytest.importorskip("autograd")

from bench import training_pages as pages
from bench.learned import results
from bench.learned_training import POINTS


def test_the_page_shows_the_results():
    text = pages.PAGE.read_text(encoding="utf-8")
    assert pages.BEGIN in text
    assert pages.END in text
    assert pages.replaced(text, results()) == text, "python -m bench.training_pages writes it anew"


@pytest.mark.parametrize("system", pages.SYSTEMS)
def test_the_pictures_show_the_losses(system):
    known = pages.curves(system)
    shown = pages.picture_of(system).read_text(encoding="utf-8")
    assert shown == pages.picture(system, known), "python -m bench.training_pages writes it anew"
    assert f"({pages.picture_of(system).name})" in pages.PAGE.read_text(encoding="utf-8")
    assert shown.count("<polyline") == len(known["curves"]) > 1
    assert {len(losses) for losses in known["curves"].values()} == {POINTS}
