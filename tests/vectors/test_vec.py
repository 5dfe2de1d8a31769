"""The .vec file: what is written is read again, by us and by others, and damage is named."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from lowbit.errors import VectorFileError
from lowbit.format.registry import get_format
from lowbit.vectors.layouts import render_layout
from lowbit.vectors.operations import generate
from lowbit.vectors.patterns import to_patterns
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.vec import Column, VectorFile, parse_vectors, read_vectors, render, write_vectors

RECIPES = (
    Recipe("encode", "float32", "float4_e2m1fn", "ocp_sat"),
    Recipe("encode", "float64", "float6_e3m2fn", "ocp_sat", arguments={"reach": 1}),
    Recipe("convert", "int8", "int4", "integer"),
    Recipe("decode", "tf32", "float32", "ieee", "representative"),
)

C_READER = r"""
#include <stdio.h>
int main(int count, char **names) {
    char line[1024];
    unsigned long long input, expected, flag, rows = 0, sum = 0;
    FILE *file = fopen(names[1], "r");
    while (file && fgets(line, sizeof line, file)) {
        if (line[0] == '/' || sscanf(line, "%llx %llx %llx", &input, &expected, &flag) != 3) continue;
        rows++;
        sum += rows * (input ^ expected * 257 ^ flag * 65537);
    }
    printf("%llu %llu\n", rows, sum);
    return count != 2;
}
"""

VERILOG_READER = """
module reader;
  reg [31:0] words [0:{last}];
  integer index;
  initial begin
    $readmemh("{path}", words);
    for (index = 0; index <= {last}; index = index + 1) $display("%h", words[index]);
  end
endmodule
"""


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.id)
def file(request):
    return generate(request.param)


@pytest.fixture(scope="module")
def data():
    return render(generate(RECIPES[0]))


def test_what_is_written_is_read(file, tmp_path):
    path = tmp_path / "below" / "set.vec"
    write_vectors(path, file)
    again = read_vectors(path)
    assert again.columns == file.columns
    assert dict(again.header) == dict(file.header)
    assert np.array_equal(again.rows, file.rows)
    assert path.read_bytes() == render(again)
    assert np.array_equal(again.column("expected"), file.rows[:, 1])
    assert again.flags.tolist() == file.rows[:, 2].tolist()


def test_the_text_is_ascii_with_lf_and_fixed_width(file):
    lines = render(file).decode("ascii").split("\n")
    rows = [line for line in lines[:-1] if not line.startswith("//")]
    assert lines[-1] == ""
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == len(file.rows)
    assert all(character in "0123456789abcdef " for character in "".join(rows))


def test_numpy_reads_it(file, tmp_path):
    path = tmp_path / "set.vec"
    write_vectors(path, file)
    rows = np.loadtxt(path, dtype=np.uint64, comments="//", converters=lambda text: int(text, 16))
    assert np.array_equal(rows, file.rows)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_sscanf_reads_it(file, tmp_path):
    path, program = tmp_path / "set.vec", tmp_path / "reader"
    write_vectors(path, file)
    (tmp_path / "reader.c").write_text(C_READER)
    subprocess.run(["cc", "-O1", "-o", program, tmp_path / "reader.c"], check=True)
    answer = subprocess.run([program, path], check=True, capture_output=True, text=True).stdout
    total = sum(
        number * (code ^ result * 257 ^ flag * 65537)
        for number, (code, result, flag) in enumerate(file.rows.tolist(), 1)
    )
    assert answer == f"{len(file.rows)} {total % (1 << 64)}\n"


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_readmemh_reads_it(tmp_path):
    file = generate(RECIPES[0])
    path, source, program = tmp_path / "set.vec", tmp_path / "reader.v", tmp_path / "reader"
    write_vectors(path, file)
    source.write_text(VERILOG_READER.format(last=file.rows.size - 1, path=path))
    subprocess.run(["iverilog", "-o", program, source], check=True)
    answer = subprocess.run(["vvp", program], check=True, capture_output=True, text=True).stdout
    words = [int(line, 16) for line in answer.split("\n") if len(line) == 8]
    assert words == file.rows.reshape(-1).tolist()


def replaced(data, old, new):
    assert old in data
    return data.replace(old, new, 1)


def body_line(data, number):
    """(start, line) of a row."""
    position = data.index(b"// rows:")
    position = data.index(b"\n", position) + 1
    for _ in range(number + 1):
        position = data.index(b"\n", position) + 1
    return position, data[position : data.index(b"\n", position) + 1]


def with_row(data, number, new):
    start, line = body_line(data, number)
    return data[:start] + new(line) + data[start + len(line) :]


DAMAGE = {
    "empty": (lambda data: data[:0], "not a lowbit vector file"),
    "another file": (lambda _: b"\x7fELF\x01\x02", "not a lowbit vector file"),
    "version 2": (lambda data: replaced(data, b"version 1", b"version 2"), "version 2"),
    "cut within the header": (lambda data: data[:300], "ends within the header"),
    "cut within a row": (lambda data: data[:-4], "has no end"),
    "cut after a row": (lambda data: data[: body_line(data, 40)[0]], "there are 40 rows"),
    "a row too many": (lambda data: data + body_line(data, 3)[1], "rows, the header says"),
    "a digit changed": (
        lambda data: with_row(data, 7, lambda line: bytes([line[0] ^ 1]) + line[1:]),
        "a row was changed",
    ),
    "upper case": (lambda data: with_row(data, 30, lambda line: b"ABCDEF01" + line[8:]), "lower-case hexadecimal"),
    "a digit lost": (lambda data: with_row(data, 9, lambda line: line[1:]), "characters long"),
    "a blank moved": (lambda data: with_row(data, 9, lambda line: line[:7] + b" 0" + line[9:]), "column 'input'"),
    "CR LF": (lambda data: data.replace(b"\n", b"\r\n"), "CR LF"),
    "no sha256": (
        lambda data: b"\n".join(x for x in data.split(b"\n") if b"sha256" not in x),
        "the header lacks sha256",
    ),
    "a key twice": (lambda data: replaced(data, b"// op: encode", b"// op: encode\n// op: encode"), "twice"),
    "no colon": (lambda data: replaced(data, b"// op: encode", b"// op encode"), "not a header line"),
    "columns": (lambda data: replaced(data, b"input:8", b"input:x"), "is not name:digits"),
    "no flag column": (lambda data: replaced(data, b"flag:2", b"mark:2"), "does not end in flag"),
    "rows": (lambda data: replaced(data, b"// rows: ", b"// rows: about "), "is not a number"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_file_and_remedy(kind, data, tmp_path):
    damage, what = DAMAGE[kind]
    path = tmp_path / "damaged.vec"
    path.write_bytes(damage(data))
    with pytest.raises(VectorFileError) as caught:
        read_vectors(path)
    assert what in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_the_line_of_the_damage_is_right(data):
    start, _ = body_line(data, 9)
    line = data[:start].count(b"\n") + 1
    with pytest.raises(VectorFileError, match=f":{line}: the row is"):
        parse_vectors(with_row(data, 9, lambda row: row[1:]))


def test_a_missing_file_and_a_missing_column(tmp_path, data):
    with pytest.raises(VectorFileError, match="cannot be read"):
        read_vectors(tmp_path / "nothing.vec")
    with pytest.raises(VectorFileError, match="no column 'result'"):
        parse_vectors(data).column("result")


def test_64_bit_codes_keep_every_bit():
    rows = np.array([[0xFFFFFFFFFFFFFFFF, 0x8000000000000001, 0]], dtype=np.uint64)
    columns = (Column("input", 16), Column("expected", 16), Column("flag", 2))
    again = parse_vectors(render(VectorFile({"set": "x", "op": "convert"}, columns, rows)))
    assert np.array_equal(again.rows, rows)


def test_other_layouts_hold_the_same_rows(file, tmp_path):
    path = tmp_path / "rows.npy"
    path.write_bytes(render_layout(file, "npy"))
    table = np.load(path)
    assert table.dtype.names == tuple(column.name for column in file.columns)
    for name, key in (("input", "source"), ("expected", "target")):
        fmt = get_format(file.header[key].split(",")[0])
        assert table[name].dtype == fmt.code_dtype
        assert np.array_equal(to_patterns(table[name], fmt), file.column(name))
    assert np.array_equal(table["flag"], file.flags)
    head, *lines = render_layout(file, "csv").decode().splitlines()
    assert head == "input,expected,flag"
    assert [[int(cell, 16) for cell in line.split(",")[:2]] for line in lines] == file.rows[:, :2].tolist()
    words = [line for line in render_layout(file, "hex").decode().splitlines() if not line.startswith("//")]
    left, middle, right = (column.digits for column in file.columns)
    split = [[word[:left], word[left : left + middle], word[-right:]] for word in words]
    assert [[int(part, 16) for part in parts] for parts in split] == file.rows.tolist()
