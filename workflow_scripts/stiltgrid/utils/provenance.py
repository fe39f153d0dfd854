"""Where a number came from: package versions and the device. Cheap; reads metadata, imports nothing heavy."""

import platform
import sys
from importlib import metadata
from typing import Any

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "peft", "numpy", "pyarrow", "snakemake")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on; missing ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_device() -> dict[str, Any]:
    """Name of the accelerator, if torch is loaded and sees one, else of the processor's kind."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return {"device": torch.cuda.get_device_name(), "machine": platform.machine()}
    return {"device": "cpu", "machine": platform.machine()}
