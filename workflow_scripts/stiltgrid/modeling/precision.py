"""The choice that `precision: auto` makes: measured on a CPU, and recorded once for all jobs of a model."""

import logging
import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import read_json, write_json

LOG = logging.getLogger(__name__)
AUTO, BF16, FP32 = "auto", "bf16", "fp32"
RECORD = "precision.json"
# Below, casts between the dtypes take more time than bf16 products save (see benchmarks/cpu_precision.py).
MIN_HIDDEN_SIZE = 256
MIN_SPEEDUP = 1.3  # of bf16 over float32; less is not worth the rounding
SEQUENCES, LENGTH, ROUNDS = 8, 64, 5  # of the measurement


@dataclass(frozen=True)
class ModelPrecision:
    """The precision of all jobs of a model: the first job that needs it decides and records it, the others follow.

    So results of one model are never in part in float32 and in part in bf16, whatever machines its jobs run on.
    `checkpoint` is a folder with the model's `config.json`; `folder` is the model's own, which all of its jobs share.
    """

    checkpoint: str | os.PathLike[str]
    folder: str | os.PathLike[str]

    @classmethod
    def of_tokenizer(cls, checkpoint: str | os.PathLike[str], tokenizer: str | os.PathLike[str]) -> "ModelPrecision":
        """For a job that reads a checkpoint and the model's tokenizer, whose folder is in the model's."""
        return cls(checkpoint, Path(tokenizer).parent)

    def on_gpu(self, has_bf16: bool) -> str:
        """The recorded precision; if there is none, bf16 where the GPU supports it."""
        return self._agree(lambda size: BF16 if has_bf16 else FP32, "this GPU")

    def on_cpu(self) -> str:
        """The recorded precision; if there is none, bf16 where it is measurably faster and the model large enough."""
        return self._agree(cpu_choice, "this CPU")

    def _agree(self, choose: Callable[[int], str], device: str) -> str:
        size = hidden_size(self.checkpoint)
        path = Path(self.folder) / RECORD
        chosen = _recorded(path, size)
        if chosen is None:
            chosen = _record(path, {"precision": choose(size), "hidden_size": size}, size)
            LOG.info("precision: auto is %s for this model, on %s and in all of its jobs (%s)", chosen, device, path)
        return chosen


def cpu_choice(size: int, measure: Callable[[int], float] | None = None) -> str:
    """bf16 or fp32 for a model of this hidden size on this CPU; `measure` is `bf16_speedup` by default."""
    if size < MIN_HIDDEN_SIZE:
        return FP32
    speedup = (measure or bf16_speedup)(size)
    LOG.info("bf16 is %.2f times as fast as float32 on this CPU at a hidden size of %d", speedup, size)
    return BF16 if speedup >= MIN_SPEEDUP else FP32


def bf16_speedup(size: int) -> float:
    """How many times as fast as float32 a layer of this hidden size trains under bf16 autocast on this CPU.

    Instructions alone do not tell: of two CPUs with AVX512-BF16, the one with AMX is several times faster in bf16 and
    the one without it slower. The median of rounds in turns, in processor time of this process.
    """
    heads = max(1, size // 64)
    size -= size % heads
    with torch.random.fork_rng(devices=[]):  # the job's own draws do not depend on whether it measures
        layer = torch.nn.TransformerEncoderLayer(size, heads, 4 * size, dropout=0.0, batch_first=True)
        states = torch.randn(SEQUENCES, LENGTH, size)

    def seconds(dtype: torch.dtype) -> float:
        started = time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = layer(states).float().square().mean()
        loss.backward()
        return time.process_time() - started

    dtypes = (torch.float32, torch.bfloat16)
    rounds = [[seconds(dtype) for dtype in dtypes] for _ in range(ROUNDS + 1)][1:]
    return statistics.median(full / half for full, half in rounds)


def hidden_size(checkpoint: str | os.PathLike[str]) -> int:
    """The hidden size in a checkpoint's `config.json`; raises SourceError where it cannot be read."""
    try:
        config = AutoConfig.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
        return int(getattr(config, "hidden_size", None) or config.d_model)
    except Exception as error:
        raise SourceError(
            f"{Path(checkpoint) / 'config.json'}: not a readable model configuration ({error})"
        ) from error


def _recorded(path: Path, size: int) -> str | None:
    """The recorded choice, if it was made for a model of this hidden size."""
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = read_json(path)
        if found["precision"] in (BF16, FP32) and found["hidden_size"] == size:
            return str(found["precision"])
    except (ValueError, KeyError, TypeError):
        LOG.warning("%s: damaged; the precision is chosen again", path)
    path.unlink(missing_ok=True)
    return None


def _record(path: Path, choice: dict[str, Any], size: int) -> str:
    """Record a choice unless another job has been faster; returns the one that counts."""
    own = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}.partial")
    write_json(choice, own)
    try:
        os.link(own, path)  # atomic, and fails where the file exists
    except FileExistsError:
        return _recorded(path, size) or choice["precision"]
    except OSError:  # a file system without hard links
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)
    return str(choice["precision"])
