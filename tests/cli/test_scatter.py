"""The picture of `lowbit evaluate`: no words lie on others or on points, and the numbers of its axes are round."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lowbit.cli.report.evaluate import picture
from lowbit.cli.report.scatter import Axis
from lowbit.models.evaluation import Evaluation

LETTER = 6.9
"""Pixels of a letter of the names here in 12 pixels of DejaVu Sans, which is wide, on the average."""

FLOAT = Evaluation("float", "F32", 32, {"similarity": 1.0}, 0, 0)
FORMATS = {"int4.g128": 4.125, "nf4.g128": 4.125, "mxfp4": 4.25, "int4.g32": 4.5, "nvfp4": 4.5, "int3.g128": 3.125}


def rows(methods, seed):
    random = np.random.default_rng(seed)
    errors = np.exp(random.normal(-5, 0.4, (methods, len(FORMATS))))
    return [
        Evaluation(f"method:option={number}", to, bits, {"similarity": 1 - 3 * error}, error, 1.0)
        for number, line in enumerate(errors)
        for (to, bits), error in zip(FORMATS.items(), line, strict=True)
    ]


def boxes_of(panel):
    """(left, top, right, bottom) of each text and of each point."""
    texts, points = [], []
    for node in panel.iter():
        if node.tag.endswith("}text"):
            room, x, y = LETTER * len(node.text), float(node.get("x")), float(node.get("y"))
            left = {"start": x, "middle": x - room / 2, "end": x - room}[node.get("text-anchor")]
            texts.append((left, y - 10, left + room, y + 3))
        elif node.tag.endswith("}circle"):
            x, y, radius = (float(node.get(name)) for name in ("cx", "cy", "r"))
            points.append((x - radius, y - radius, x + radius, y + radius))
    return texts, points


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("methods", [1, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_words_lie_beside_each_other(methods, seed):
    drawn = picture("model", [FLOAT, *rows(methods, seed)])
    panels = [node for node in ET.fromstring(drawn) if node.tag.endswith("}g")]
    assert len(panels) == 2
    for panel in panels:
        texts, points = boxes_of(panel)
        assert len(points) == methods * len(FORMATS)
        assert not [pair for at, one in enumerate(texts) for pair in texts[:at] if overlap(one, pair)]
        assert not [pair for one in texts for pair in points if overlap(one, pair)]
        assert all(left >= 0 and right <= 960 and top >= 0 and bottom <= 300 for left, top, right, bottom in texts)
    words = [node.text for node in panels[0].iter() if node.text in FORMATS]
    assert len(words) == methods * len(FORMATS) if methods < 8 else len(words) > 20


def test_the_error_has_a_logarithmic_axis_with_plain_numbers():
    drawn = picture("model", [FLOAT, *rows(2, 0)])
    assert "output error, on a logarithmic axis" in drawn
    ends = re.findall(r'text-anchor="end">([^<]*)<', drawn[drawn.index("logarithmic") :])
    assert len(ends) > 2
    assert all(re.fullmatch(r"0\.0*[12357]", number) for number in ends)


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "ticks"),
    [
        (3.125, 4.5, False, [3.5, 4.0, 4.5]),
        (4.125, 17.8, False, [5, 10, 15]),
        (4.25, 4.25, False, [4.25]),
        (0.0028, 0.0118, True, [0.003, 0.005, 0.007, 0.01]),
        (1e-9, 0.5, True, [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1]),
        (0.0041, 0.0047, True, [0.0042, 0.0044, 0.0046]),
        (0.004, 0.004, True, [0.004]),
    ],
)
def test_ticks(low, high, logarithmic, ticks):
    axis = Axis(low, high, 0, 100, logarithmic)
    assert axis.ticks() == pytest.approx(ticks)
    assert all(0 <= axis.place(tick) <= 100 + 1e-9 for tick in axis.ticks())
    assert axis.place(low) == 0
