"""The paths and settings of a training job, and how a Snakemake script states them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainingPaths:
    """Folders of a training job: the checkpoint that it starts from, the tokenizer's files, and its output."""

    checkpoint: str | os.PathLike[str]
    tokenizer: str | os.PathLike[str]
    out: str | os.PathLike[str]


@dataclass(frozen=True)
class TrainingJob:
    """Settings of a training job, as mappings from Snakemake's params.

    `model` is read as a `Model`, each of `tasks` by `load_stage_task`. `provenance` goes into the training record.
    """

    model: Mapping[str, Any]
    tasks: Sequence[Mapping[str, Any]]
    seed: int
    threads: int = 1
    provenance: Mapping[str, Any] = field(default_factory=dict)


def script_job(snakemake: Any, checkpoint: str | os.PathLike[str]) -> tuple[TrainingPaths, TrainingJob]:
    """Paths and settings of a rule's job; `checkpoint` is one of its input files, in the folder to start from."""
    params = snakemake.params
    paths = TrainingPaths(
        Path(checkpoint).parent, Path(snakemake.input.tokenizer[0]).parent, Path(snakemake.output[0]).parent
    )
    provenance = {"code": params.code}
    return paths, TrainingJob(params.model, params.tasks, int(snakemake.wildcards.seed), snakemake.threads, provenance)
