"""TOSA's CAST_TO_BLOCK_SCALED, by the reference model of tosa-tools, under the preset ``tosa_mx``.

tosa-tools needs an older NumPy, so it stands in an environment of its own: ``LOWBIT_TOSA_TOOLS`` names the folder of
its programs (``.../bin``); without it the tests are skipped. Programs on the path are not taken: beside lowbit's NumPy
they do not run.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import lowbit

ELEMENTS = {
    "mxfp4": ("mx-fp4e2m1", "fp4e2m1"),
    "mxfp6_e2m3": ("mx-fp6e2m3", "fp6e2m3"),
    "mxfp6_e3m2": ("mx-fp6e3m2", "fp6e3m2"),
    "mxfp8_e4m3": ("mx-fp8e4m3", "fp8e4m3"),
    "mxfp8_e5m2": ("mx-fp8e5m2", "fp8e5m2"),
    "mxint8": ("mx-int8", "mxint8"),
}
SHAPE = (256, 64)


@pytest.fixture(scope="module")
def tools():
    """Where the programs of tosa-tools are."""
    named = os.environ.get("LOWBIT_TOSA_TOOLS")
    program = shutil.which("tosa_reference_model", path=named) if named else None
    if program is None:
        pytest.skip("tosa-tools >= 2026.8 is not installed: LOWBIT_TOSA_TOOLS=.../bin names its programs")
    return Path(program).parent


def reference(tools, folder, name, values):
    """Codes and scales of the reference model."""
    extension, dtype = ELEMENTS[name]
    library = next(tools.parent.rglob("libtosa_reference_generate_lib.so"))
    words = ["--filter", "cast_to_block_scaled", "--profile", "tosa-pro-fp", "--target-dtype", "fp32", dtype]
    words += ["--extension", "tosa-ext-mx-common", f"tosa-ext-{extension}", "--target-shape", "256,64"]
    words += ["--generate-lib-path", str(library), "-o", str(folder)]
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([tools / "tosa_verif_build_tests", *words], check=True, capture_output=True, env=environment)
    description = next(folder.rglob("desc.json"))
    files = json.loads(description.read_text(encoding="utf-8"))
    np.save(description.parent / files["ifm_file"][0], values)
    run = [tools / "tosa_reference_model", f"--test_desc={description}"]
    subprocess.run(run, check=True, capture_output=True, cwd=description.parent)
    codes, scales = (np.load(description.parent / file) for file in files["ofm_file"])
    return codes, scales.view(np.uint8).reshape(SHAPE[0], SHAPE[1] // 32)


def plain_codes(codes, fmt):
    """Codes, one an element: four bits lie two a byte, six bits four in three bytes, the first in the low bits."""
    flat = codes.view(np.uint8).reshape(-1)
    if fmt.bits == 8:
        return flat.view(fmt.code_dtype).reshape(SHAPE)
    bits = np.unpackbits(flat, bitorder="little")
    size = SHAPE[0] * SHAPE[1]
    if bits.size == size * 8:  # one a byte
        return flat.reshape(SHAPE)
    weights = 1 << np.arange(fmt.bits)
    return (bits.reshape(size, fmt.bits) @ weights).reshape(SHAPE)


def values_to_try():
    """Every seven-bit mantissa of amax and its neighbours, at many exponents, ties, zeros, NaN and infinity."""
    drawn = np.random.default_rng(11)
    tops = (np.arange(128, 256) / 128).astype(np.float32)
    every = [np.nextafter(tops, np.float32(0)), tops, np.nextafter(tops, np.float32(4)), tops]
    tops = np.concatenate(every) * np.repeat(np.float32(2.0) ** np.array([0, -3, 5, -120]), 128)
    values = drawn.uniform(-1, 1, (512, 32)).astype(np.float32)
    values[:, ::3] = drawn.integers(-16, 17, (512, 11)) / np.float32(16)
    values[:, 7] = np.where(drawn.integers(0, 2, 512), 1, -1)
    values = (values * tops[:, None]).astype(np.float32)
    values[40] = 0
    values[41, 3], values[42, 5], values[43, 6] = np.nan, np.inf, -np.inf
    values[44] = drawn.uniform(-1, 1, 32) * 2.0**-130
    values[45] = drawn.uniform(-1, 1, 32) * 2.0**127
    values[46], values[47, :16] = -0.0, -0.0
    return values.reshape(SHAPE)


@pytest.mark.parametrize("name", ELEMENTS)
def test_cast_to_block_scaled(name, tools, tmp_path):
    values = values_to_try()
    codes, scales = reference(tools, tmp_path, name, values)
    mine = lowbit.quantize(values, name, policy="tosa_mx")
    assert np.array_equal(mine.scales["block"], scales)
    theirs = plain_codes(codes, mine.format.element)
    claimed = np.repeat(scales != 0xFF, 32, axis=1) | name.startswith("mxfp8")  # FP4, FP6 and int8 have no NaN to give
    assert not claimed.all() or name.startswith("mxfp8")
    where = np.argwhere((mine.codes != theirs) & claimed)
    shown = [(values[tuple(at)], int(mine.codes[tuple(at)]), int(theirs[tuple(at)]), tuple(at)) for at in where[:5]]
    assert not len(where), f"{len(where)} differ: {shown}"
