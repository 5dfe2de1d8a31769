"""The page that sets presets side by side shows what they do today."""

import importlib.util
from pathlib import Path

FILE = Path(__file__).parents[3] / "docs" / "which_mx.py"


def test_the_page_shows_what_the_presets_do():
    spec = importlib.util.spec_from_file_location("which_mx", FILE)
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.BEGIN in text
    assert page.END in text
    assert page.replaced(text) == text, "python docs/which_mx.py writes the tables anew"
