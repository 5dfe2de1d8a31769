"""The pages that set formats and presets side by side show what they do today."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


def script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    return page


@pytest.mark.parametrize("name", ["which_mx", "which_affine"])
def test_the_page_shows_what_the_presets_do(name, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    page = script(name)
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.BEGIN in text
    assert page.END in text
    assert page.replaced(text) == text, f"python docs/{name}.py writes the tables anew"


def test_the_picture_shows_what_codes_are_worth():
    page = script("levels")
    assert page.PICTURE.read_text(encoding="utf-8") == page.picture(), "python docs/levels.py draws it anew"
    assert list(page.FORMATS) == ["int4", "MXFP4", "NVFP4", "NF4", "AFPQ"]
