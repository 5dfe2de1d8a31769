"""``lowbit prove`` of nonlinearities."""

import json

from lowbit.cli import main


def test_a_refuted_audit_shows_its_witness_and_exits_1(capsys):
    arguments = ["prove", "softmax", "--scheme", "cmsis_int16", "--length", "9", "--scale", "0.00015259021896696422"]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "refuted  32,768 for 8 times 32767, -10176" in out
    assert "the first overflow is in 'rounded sum'" in out
    assert "proved for rows of up to 8 codes" in out


def test_without_a_length_the_longest_safe_row_is_audited(capsys):
    assert main(["prove", "softmax", "--scheme", "tflite_int8", "--scale", "0.05"]) == 0
    assert "rows of 511 codes" in capsys.readouterr().out


def test_json_and_options(capsys):
    words = (
        "prove softmax --scheme tflite_int8 --scale 0.05 --option beta=2 --length 4 --from=-5:5 --output-format json"
    )
    assert main(words.split()) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["parameters"]["beta"] == 2
    assert document["inputs"] == [-5, 5]
    assert document["longest_proved"] == 511


def test_bad_options_are_usage_errors(capsys):
    for words in (
        "prove softmax --scheme ivit --scale 0.1 --from float8_e4m3fn",
        "prove softmax --scheme ivit --scale 0.1 --from 1:x",
        "prove softmax --scheme ivit --scale 0.1 --option beta",
        "prove softmax --scheme none --scale 0.1",
    ):
        assert main(words.split()) == 2
        assert "error[" in capsys.readouterr().err
