"""Provenance of results: package versions and the device. Reads metadata only and imports nothing heavy."""

import platform
import sys
from importlib import metadata
from typing import Any

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "peft", "numpy", "pyarrow", "snakemake")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_device() -> dict[str, Any]:
    """Name of the GPU, if torch is imported and finds one, otherwise 'cpu'; and the machine's architecture."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return {"device": torch.cuda.get_device_name(), "machine": platform.machine()}
    return {"device": "cpu", "machine": platform.machine()}
