"""The adapters of installed libraries: what they offer, and that codes go through them unharmed."""

import importlib.util
import sys

import numpy as np
import pytest

from lowbit.dut.library import library_offers, library_version
from lowbit.format.registry import get_format
from lowbit.vectors.case import rows_case

PRODUCTS = [name for name in ("numpy", "ml_dtypes", "onnxruntime") if importlib.util.find_spec(name)]


@pytest.mark.parametrize("product", PRODUCTS)
def test_one_has_the_code_of_one_everywhere(product):
    casts = list(library_offers(product, "convert"))
    assert len(casts) >= 30
    for cast in casts:
        source, target = get_format(cast.source), get_format(cast.target)
        if cast.target == "int1" or cast.source == "int1":
            continue  # its values are -1 and 0
        got = cast.run(rows_case(np.array([_one(source)] * 3, source.code_dtype), 0))
        assert got.dtype == np.dtype(target.code_dtype), cast
        assert got.tolist() == [_one(target)] * 3, cast


def _one(fmt):
    return 1 if fmt.kind == "integer" else fmt.bias << fmt.mantissa_bits


@pytest.mark.parametrize("product", PRODUCTS)
def test_version_is_told(product):
    assert library_version(product)[0].isdigit()


def test_onnxruntime_offers_every_option():
    pytest.importorskip("onnxruntime")
    options = {
        (cast.target, cast.option) for cast in library_offers("onnxruntime", "convert") if cast.source == "float32"
    }
    assert {("float8_e4m3fn", "saturate=1"), ("float8_e4m3fn", "saturate=0")} <= options
    modes = {option for target, option in options if target == "float8_e8m0fnu"}
    assert len(modes) in (0, 6)  # older runtimes have no float8_e8m0fnu


def test_onnx_package_is_not_needed(monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert any(cast.target == "float8_e5m2" for cast in library_offers("onnxruntime", "convert"))


def test_onnx_model_is_a_valid_one():
    onnx = pytest.importorskip("onnx")
    from lowbit.files.onnx_model import cast_model

    data = cast_model("float32", "float8_e4m3fn", opset=21, ir_version=10, attributes={"saturate": 0})
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in model.graph.node[0].attribute}
    assert attributes == {"to": onnx.TensorProto.FLOAT8E4M3FN, "saturate": 0}
