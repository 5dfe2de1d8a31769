"""The page on what 4 and 3 bits cost a language model shows the committed results, and those are what was to be run."""

from bench import language_pages as pages
from bench.language_table import NOT_HERE, names
from lowbit.quantizers.method import chosen, methods


def test_the_page_shows_the_results():
    report = pages.results()
    text = pages.PAGE.read_text(encoding="utf-8")
    assert pages.BEGIN in text
    assert pages.END in text
    again = "python -m bench.language_pages writes both anew"
    assert pages.replaced(text, report) == text, again
    assert pages.PICTURE.read_text(encoding="utf-8") == pages.picture(report), again


def test_every_combination_was_run_or_is_named():
    report = pages.results()
    told = [len(report["rows"]) - 1, len(report["left_out"]), len(report["not_run"])]
    assert sum(told) == len(names())
    assert set(report["not_run"]) <= set(names())
    shown = pages.table(report)
    for row in report["rows"][1:]:
        line = next(line for line in shown.splitlines() if line.startswith(f"| `{row['method']}` {row['to']} |"))
        assert line.split(" | ")[1] == f"{row['bits']:.3f}"
        assert line.split(" | ")[3] == f"{row['perplexity']:,.2f}"


def test_every_method_is_in_the_list_or_says_why_not():
    measured = {chosen(name.split()[0]).name.split(":")[0] for name in names() if not name.startswith("cache ")}
    closed = {name for name, one in methods().items() if ".learned." not in one.quantize.__module__}
    assert measured | set(NOT_HERE) == closed
    assert not measured & set(NOT_HERE)


def test_parts_are_in_the_order_of_perplexity():
    shown = pages.table(pages.results())
    for part in shown.split("### ")[1:]:
        lines = [line.split(" | ") for line in part.splitlines() if line.startswith("| `")]
        values = [float(line[3].replace(",", "")) for line in lines]
        assert values
        assert values == sorted(values)


def test_the_picture_has_every_model_that_still_knows_something():
    report = pages.results()
    shown = pages.picture(report)
    for row in report["rows"]:
        told = f"<title>{row['method']} {row['to']}</title>" in shown
        assert told == (row["method"] != "cache" and row["perplexity"] <= pages.MOST)
