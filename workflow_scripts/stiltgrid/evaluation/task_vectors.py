"""Files of task embeddings, and their similarity. No torch.

A file holds named vectors: one for a mean of states or a table of subword counts, one per module and layer for a
Fisher embedding. They are compared one at a time, so the numbers of two models are never in memory at once.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stiltgrid.utils.checksums import seal_weights, verify_weights
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path

# Each is defined in `task_embedding`.
MEASURES = ("text", "sentence", "fisher", "words")
AnyPath = str | os.PathLike[str]


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of two vectors in float64; 0 if one of them is zero."""
    a, b = (np.asarray(item, dtype=np.float64).reshape(-1) for item in (first, second))
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length else 0.0


def shared_mass(first: np.ndarray, second: np.ndarray) -> float:
    """Overlap of two tables of counts: the sum of the smaller relative frequencies, from 0 to 1."""
    shares = [np.asarray(item, dtype=np.float64) / max(float(np.sum(item)), 1e-300) for item in (first, second)]
    return float(np.minimum(*shares).sum())


def similarity(measure: str, first: AnyPath, second: AnyPath) -> float:
    """Similarity of two tasks' files: the mean cosine over components, or for `words` the shared mass.

    Raises:
        SourceError: if a file is damaged, or the files do not hold the same components in the same sizes.
    """
    from safetensors import safe_open

    compare = shared_mass if measure == "words" else cosine
    for path in (first, second):
        verify_weights(path)
    try:
        with safe_open(str(first), "np") as one, safe_open(str(second), "np") as other:
            names = sorted(one.keys())
            if names != sorted(other.keys()) or not names:
                raise SourceError(f"{first} and {second}: expected the same components; delete both and run again")
            return float(np.mean([compare(one.get_tensor(name), other.get_tensor(name)) for name in names]))
    except SourceError:
        raise
    except Exception as error:  # safetensors raises exceptions of its own for a damaged file
        raise SourceError(f"{first}, {second}: cannot be compared ({error}); delete them and run again") from error


def write_vectors(components: Mapping[str, np.ndarray], out: AnyPath) -> None:
    """Write components as float32, scaled to a largest entry of 1 (cosines and shares do not depend on scale)."""
    from safetensors.numpy import save_file

    scaled = {}
    for name, values in components.items():
        array = np.ascontiguousarray(values, dtype=np.float64)
        scaled[name] = (array / max(float(np.abs(array).max(initial=0.0)), 1e-300)).astype(np.float32)
    with atomic_path(Path(out)) as temporary:
        save_file(scaled, temporary)
        seal_weights(temporary)
