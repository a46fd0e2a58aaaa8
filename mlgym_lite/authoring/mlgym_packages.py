"""The Python packages of an imported task: its own list, or what its code imports, in versions the shipped tasks use too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mlgym_lite.authoring.mlgym_evaluator import look_at

_PINNED = {
    "numpy": "2.2.6", "pandas": "2.3.3", "scikit-learn": "1.7.2", "scipy": "1.15.3", "torch": "2.13.0", "safetensors": "0.6.2",
    "pillow": "11.3.0",
}  # fmt: skip
_PACKAGES = {
    "sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml", "cv2": "opencv-python-headless", "skimage": "scikit-image",
    "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "pytorch_lightning": "pytorch-lightning",
    "tensorflow_probability": "tensorflow-probability",
}  # fmt: skip
"""Packages whose module has another name."""


def packages_for(files: Mapping[str, Path]) -> str:
    """A requirements.txt for the programs among the files; empty where they need nothing."""
    modules: set[str] = set()
    for name in files:
        if name.endswith(".py"):
            modules |= look_at(name, files).packages
    return lines_for(modules)


def lines_for(modules: Iterable[str]) -> str:
    """The packages of these modules, a line each."""
    names = sorted({_PACKAGES.get(module, module.replace("_", "-")) for module in modules})
    return "".join(f"{name}=={_PINNED[name]}\n" if name in _PINNED else f"{name}\n" for name in names)
