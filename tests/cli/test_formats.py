"""``lowbit formats``."""

from lowbit.format.registry import formats


def test_all_single_formats_and_families(lowbit):
    result = lowbit("formats")
    assert result.status == 0
    names = [line.split()[0] for line in result.lines if line]
    for name in ("float64", "tf32", "float8_e4m3fn", "float8_e8m0fnu", "float4_e2m1fn", "p3109", "integer", "fixed"):
        assert names.count(name) == 1
    row = next(line.split() for line in result.lines if line.startswith("float8_e5m2 "))
    assert row[:9] == ["float8_e5m2", "8", "1-5-2", "15", "57344", "2^-16", "2", "6", "yes"]


def test_filters(lowbit):
    fours = {record["id"] for record in lowbit("formats", "--bits", 4, "--output-format", "json").json["formats"]}
    assert {"float4_e2m1fn", "float4_e3m0"} <= fours
    assert all(
        record["kind"] == "float"
        for record in lowbit("formats", "--kind", "float", "--output-format", "json").json["formats"]
    )
    members = [
        record["id"] for record in lowbit("formats", "--family", "p3109", "--output-format", "json").json["formats"]
    ]
    assert members == formats(family="p3109")
    assert len(members) > 100


def test_nothing_fits(lowbit):
    result = lowbit("formats", "--bits", 63)
    assert result.status == 2
    assert "no format fits" in result.err


def test_a_narrow_terminal_loses_the_last_columns_and_says_so(lowbit, monkeypatch):
    whole = lowbit("formats", "--bits", "8")
    monkeypatch.setenv("COLUMNS", "80")
    narrow = lowbit("formats", "--bits", "8")
    assert max(map(len, whole.lines)) > 100
    assert max(map(len, narrow.lines)) <= 80
    assert [line.split()[0] for line in narrow.lines if line.startswith("float8")] == [
        line.split()[0] for line in whole.lines if line.startswith("float8")
    ]
    assert "no room for: " in narrow.out
    assert "also" in narrow.out
    monkeypatch.setenv("COLUMNS", "250")
    assert lowbit("formats", "--bits", "8").out == whole.out
