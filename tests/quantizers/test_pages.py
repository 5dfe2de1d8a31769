"""The table and the picture of quantisers in the pages are those of the committed results."""

from bench import quantizer_pages as pages
from bench.quantizer_table import RESULTS, results


def test_the_pages_show_the_results():
    known = results(RESULTS)
    text = pages.PAGE.read_text(encoding="utf-8")
    assert pages.BEGIN in text
    assert pages.END in text
    again = "python -m bench.quantizer_pages writes both anew"
    assert pages.replaced(text, known) == text, again
    assert pages.PICTURE.read_text(encoding="utf-8") == pages.picture(known), again


def test_the_front_has_the_least_error_for_its_bits():
    known = results(RESULTS)
    every, best = pages.points(known), pages.front(pages.points(known))
    assert len(every) > 20
    for point in every:
        assert point in best or any(one.bits <= point.bits and one.error <= point.error for one in best)
    assert [one.error for one in best] == sorted((one.error for one in best), reverse=True)
    shown = pages.picture(known)
    assert all(f"<title>{one.name}</title>" in shown for one in every)


def test_a_row_names_what_its_peer_has_otherwise():
    rows = {row.name: row for row, _ in pages.known_rows(results(RESULTS))}
    assert rows["gptq int4.g128"].peer_name == "round_to_nearest"
    assert rows["decoupleq int2.channel activation_order"].peer_name == "gptq int2.channel.asymmetric"
    assert pages.quoted("awq int4.g128 clip=False") == "`awq` int4.g128 clip=False"
    assert pages.quoted("") == ""
