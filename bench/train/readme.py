"""Write the last table of golden/models/README.md from the files beside it: python bench/train/readme.py."""

import hashlib

from training import MODELS

from lowbit.files.whole import write_text
from lowbit.models.stored import load, names


def row(name):
    facts = load(name).facts
    digest = hashlib.sha256((MODELS / f"{name}.safetensors").read_bytes()).hexdigest()
    accuracy = facts["accuracy"]
    told = (
        ", ".join(f"{key} {value:.4f}" for key, value in accuracy.items())
        if isinstance(accuracy, dict)
        else f"{accuracy:.4f}"
    )
    return f"| `{name}` | `{facts['command']}` | {facts['cpu_seconds']} | {told} | `{digest}` |"


if __name__ == "__main__":
    path = MODELS / "README.md"
    text, _ = path.read_text(encoding="utf-8").split("|---|---|---|---|---|\n")
    write_text(path, "\n".join([f"{text}|---|---|---|---|---|", *map(row, names()), ""]))
