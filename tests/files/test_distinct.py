"""No output is an input or another output, under whatever name."""

import os

import pytest

from lowbit.allocate.sensitivity import Settings, measure_model
from lowbit.errors import InputError
from lowbit.files.distinct import refuse_overwriting


@pytest.fixture(params=["itself", "link", "hard link", "link to a link", "dots", "relative", "folder link"])
def other_name(request, tmp_path, monkeypatch):
    """A function: another name of a file in tmp_path."""

    def name(path):
        if request.param == "dots":
            (tmp_path / "a").mkdir()
            return tmp_path / "a" / ".." / "." / path.name
        if request.param == "relative":
            monkeypatch.chdir(tmp_path)
            return f"./{path.name}"
        if request.param == "folder link":
            (tmp_path / "folder").symlink_to(tmp_path)
            return tmp_path / "folder" / path.name
        if request.param == "hard link":
            if not path.exists():
                return path
            os.link(path, tmp_path / "hard")
            return tmp_path / "hard"
        if request.param.startswith("link"):
            (tmp_path / "link").symlink_to(path)
            (tmp_path / "second").symlink_to("link")
            return tmp_path / ("second" if request.param == "link to a link" else "link")
        return path

    return name


def test_an_output_that_is_an_input(tmp_path, other_name):
    path = tmp_path / "model"
    path.write_text("weights")
    with pytest.raises(InputError, match="--apply x is the model itself, which would be lost") as caught:
        refuse_overwriting([("--apply x", other_name(path))], [("the file of traces", "none"), ("the model", path)])
    assert caught.value.code == "LB102"


@pytest.mark.parametrize("there", [True, False])
def test_an_output_that_is_another_output(tmp_path, other_name, there):
    path = tmp_path / "plan"
    if there:
        path.write_text("before")
    with pytest.raises(InputError, match="-o x and --picture y are the same file"):
        refuse_overwriting([("--picture y", path), ("-o x", other_name(path))], [])


def test_a_file_in_a_folder_that_is_read(tmp_path):
    folder, hard = tmp_path / "sets", tmp_path / "hard"
    (folder / "deep").mkdir(parents=True)
    inside = folder / "deep" / "file"
    inside.write_text("rows")
    os.link(inside, hard)
    for output in (inside, hard, folder):
        with pytest.raises(InputError, match="which would be lost"):
            refuse_overwriting([("-o", output)], [("the golden folder", folder)])
    refuse_overwriting([("-o", folder / "new"), ("--picture", tmp_path / "new")], [("the golden folder", folder)])


def test_streams_may_be_named_twice(tmp_path):
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    for stream in (os.devnull, pipe):
        refuse_overwriting([("-o", stream), ("--picture", stream)], [("the model", stream)])
    with file.open("a") as opened:
        number = f"/dev/fd/{opened.fileno()}"
        refuse_overwriting([("standard output", number), ("-o", number)], [("the folder", tmp_path)])
        for outputs, inputs in (([("-o", number), ("--plan", file)], []), ([("-o", number)], [("the model", file)])):
            with pytest.raises(InputError):
                refuse_overwriting(outputs, inputs)


def test_what_cannot_be_a_name_is_no_file(tmp_path):
    for name in ("nul\0", "half \ud800", "x" * 5000):
        output = ("-o", tmp_path / name)
        assert refuse_overwriting([output], [("the model", tmp_path)]) is None


def test_a_journal_is_neither_the_model_nor_its_inputs(tmp_path):
    # Neither has a line end, so that either could be taken for a journal that was cut off.
    model, inputs = tmp_path / "model", tmp_path / "inputs.npz"
    model.write_bytes(b"weights")
    inputs.write_bytes(b"inputs")
    for journal, what in ((model, "the model"), (inputs, "the inputs")):
        with pytest.raises(InputError, match=f"journal .* is {what} itself"):
            measure_model(model, Settings(("int4",), inputs=str(inputs)), journal=journal)
    assert (model.read_bytes(), inputs.read_bytes()) == (b"weights", b"inputs")
