"""The golden tensors in block formats and packed codes are what the fast path makes, and tell policies apart."""

import numpy as np
import pytest

import lowbit
from lowbit.cli import main
from lowbit.exact import from_float
from lowbit.format import registry
from lowbit.format.files.catalogue import Catalogue
from lowbit.format.registry import block_format_of, get_format
from lowbit.oracle.block.encode import quantize
from lowbit.policy.block import get_block_policy
from lowbit.vectors.block.cases import directed_tensors
from lowbit.vectors.block.digests import large_tensor
from lowbit.vectors.block.sets import block_rows, parse_block_policy, row_shape
from lowbit.vectors.digest import core_tensors, digest_bytes, read_digests
from lowbit.vectors.elements import elements_of
from lowbit.vectors.flags import block as f
from lowbit.vectors.manifest import golden_directory, read_manifest, read_set
from lowbit.vectors.operations import generate
from lowbit.vectors.patterns import to_patterns
from lowbit.vectors.recipe import Recipe

ENTRIES = read_manifest().values()
QUANTIZED, DEQUANTIZED, PACKED = (
    [entry for entry in ENTRIES if entry.recipe.op == op] for op in ("quantize", "dequantize", "pack")
)


def quantized(fmt, values, policy):
    """Codes, and the codes of each scale, of every row as a tensor of its own."""
    tensors = [lowbit.quantize(row.reshape(row_shape(fmt)), fmt, policy=policy) for row in values]
    columns = {field.name: [tensor.scale_codes(field.name).ravel() for tensor in tensors] for field in fmt.scales}
    return {"codes": [tensor.codes.ravel() for tensor in tensors]} | columns


@pytest.mark.parametrize("entry", QUANTIZED, ids=lambda entry: entry.id)
def test_quantised_tensors_are_those_of_the_kernels(entry):
    fmt = block_format_of(entry.recipe.target)
    rows = block_rows(read_set(entry), fmt)
    values = rows.pop("values").astype(np.uint32).view(np.float32)
    for name, codes in quantized(fmt, values, parse_block_policy(entry.recipe.policy)).items():
        expected = rows[name].astype(np.int64)
        assert np.array_equal(np.array(codes).astype(np.int64), expected), name


@pytest.mark.parametrize("entry", DEQUANTIZED, ids=lambda entry: entry.id)
def test_dequantised_tensors_are_those_of_the_kernels(entry):
    fmt = block_format_of(entry.recipe.source)
    rows = block_rows(read_set(entry), fmt)
    shape = row_shape(fmt)
    for number, codes in enumerate(rows["codes"]):
        scales = {
            field.name: lowbit.decode(rows[field.name][number], field.format, dtype=field.format.id)
            if field.format.id in ("float16", "float32")
            else rows[field.name][number].astype(field.format.code_dtype)
            for field in fmt.scales
        }
        grids = {field.name: scales[field.name].reshape(field.grid(shape)) for field in fmt.scales}
        tensor = lowbit.BlockTensor(fmt, shape, len(shape) - 1, codes.reshape(fmt.codes_shape(shape)), grids)
        values = lowbit.dequantize(tensor).ravel().view(np.uint32)
        assert np.array_equal(values, rows["values"][number])


@pytest.mark.parametrize("entry", PACKED, ids=lambda entry: entry.id)
def test_packed_codes_are_those_of_the_kernels(entry):
    file, codes = read_set(entry), get_format(entry.recipe.source)
    packed = lowbit.pack(elements_of(file, "codes", codes), codes, layout=entry.recipe.policy)
    assert np.array_equal(packed.view(np.uint32), elements_of(file, "expected", get_format("uint32")))


def test_zero_less_one_is_flagged():
    # AutoGPTQ, qlinear_cuda_old.py, pack: zeros -= 1, so that 0 becomes 2^b - 1.
    file = generate(Recipe("pack", "uint4", "uint32", "gptq_zeros", "directed"))
    first = file.rows[0]
    assert file.flags[0] == f.ZERO_POINT_ZERO
    assert elements_of(file, "expected", get_format("uint32"))[0].tolist() == [0xFFFFFFFF] * 4
    assert not first[:2].any()


def test_every_block_format_and_every_flag_has_a_set():
    targets = {entry.recipe.target for entry in QUANTIZED}
    assert {entry.recipe.source for entry in DEQUANTIZED} == targets
    assert {name for name in lowbit.formats(kind="block") if name.startswith("mx")} <= targets
    flags = {flag for entry in (*QUANTIZED, *DEQUANTIZED, *PACKED) for flag in read_set(entry).flags.tolist()}
    flags |= {case.flag for case in directed_tensors(block_format_of("mxfp4"), short=True)}
    assert {number for name, number in vars(f).items() if isinstance(number, int)} <= flags


@pytest.mark.parametrize(
    ("one", "other"), [("ocp_mx", "torchao_ceil"), ("ocp_mx", "tosa_mx"), ("ocp_mx", "modelopt_mx")]
)
def test_a_set_tells_scale_rules_apart(one, other):
    fmt = block_format_of("mxfp4")
    entry = next(entry for entry in QUANTIZED if entry.id == f"quantize.float32.mxfp4.{one}")
    file = read_set(entry)
    values = block_rows(file, fmt)["values"].astype(np.uint32).view(np.float32)
    finite = np.isfinite(values).all(axis=1)
    before, after = (np.array(quantized(fmt, values[finite], policy)["block"]) for policy in (one, other))
    wrong = (before != after).ravel()
    assert wrong.any()
    assert f.MAXIMUM_AT_RULE in file.flags[finite][wrong]


def test_a_format_of_a_users_own_has_sets(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_loaded", Catalogue())
    path = tmp_path / "mine.toml"
    path.write_text(
        'id = "mine"\nkind = "block"\nsummary = "E2M1 by eights"\nelement = "float4_e2m1fn"\nblock = [8]\n'
        '[[scales]]\nname = "block"\nformat = "float8_e5m2"\n'
        '[defaults]\npolicy = "nearest"\n[source]\ntitle = "a test"\nedition = "1"\nclause = "1"\nurl = "https://example.com"\n'
        '[facts]\nblock_values = "8"\n'
    )
    fmt = lowbit.load_format(path)
    file = generate(Recipe("quantize", "float32", "mine", "nearest", "directed"))
    rows = block_rows(file, fmt)
    values = rows["values"].astype(np.uint32).view(np.float32)
    assert len(values) > 50
    assert np.array_equal(np.array(quantized(fmt, values, "nearest")["codes"]), rows["codes"])


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["quantize"], "needs --to FORMAT"),
        (["dequantize", "--to", "float32"], "not for `gen dequantize`"),
        (["quantize", "--to", "int8"], "not a block format"),
        (["quantize", "--to", "mxfp4", "--n", "0"], "at least one row"),
        (["dequantize"], "needs --from FORMAT"),
        (["quantize", "--to", "mxfp4", "--policy", "ocp"], "ocp_mx"),
    ],
)
def test_wrong_usage_of_gen_says_what(words, what, capsys):
    assert main(["gen", *words]) == 2
    assert what in capsys.readouterr().err


def test_gen_writes_what_golden_holds(tmp_path):
    path = tmp_path / "mine.vec"
    assert main(["gen", "quantize", "--to", "nvfp4", "--policy", "four_over_six", "--output", str(path)]) == 0
    entry = next(entry for entry in QUANTIZED if entry.id == "quantize.float32.nvfp4.four_over_six")
    assert path.read_bytes() == (golden_directory() / entry.recipe.file).read_bytes()


@pytest.mark.exhaustive
@pytest.mark.parametrize(("source", "target", "policy"), core_tensors())
def test_digests_are_those_of_the_oracle(source, target, policy):
    fmt, values = block_format_of(target), large_tensor()
    exact = [from_float(value) for value in values.ravel().tolist()]
    made = quantize(exact, values.shape, fmt, get_block_policy(policy))
    parts = [(made.codes, fmt.element), *((made.scales[field.name], field.format) for field in fmt.scales)]
    patterns = [(to_patterns(np.array(codes, np.int64), part), part) for codes, part in parts]
    data = b"".join(codes.astype(f"<u{part.container_bits // 8}").tobytes() for codes, part in patterns)
    assert digest_bytes(data, source, target, policy) == read_digests(golden_directory())[source, target]
