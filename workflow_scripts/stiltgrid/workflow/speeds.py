"""Tokens a second of a model's jobs: given by the user, measured in earlier jobs, or carried by the configuration."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.grid.grid import Grid
from stiltgrid.training.evaluation_schedule import FORWARD_SHARE

CPU = "cpu"
RECORDS = {
    "intermediate": "intermediate/{model}/*/seed*/training.json",
    "target": "tuned/{model}/*/*/seed*/training.json",
    "score": "scores/{model}/*/*/seed*/metrics.json",
}
# With `keep_tuned: false` the records of target training go with the models; both stages train at the same speed.
OTHER_TRAINING = {"target": "intermediate", "intermediate": "target"}
PATIENCE = 10  # seconds for nvidia-smi


@dataclass(frozen=True)
class Speed:
    """Tokens a second, where the number is from, and, of a number that was assumed, what to say about it."""

    tokens: float
    origin: str
    assumed: str = ""


def stage_speed(grid: Grid, results: Path, model: str, stage: str, device: str) -> Speed | None:
    """The speed of a model's jobs of a stage (pretrain, intermediate, target, score), best origin first.

    `device` is a kind of device, as `device_kind` returns it. None where nothing is known.
    """
    given = grid.estimate.get("tokens_per_second", {})
    training = given.get("training")
    scoring = given.get("scoring", training / FORWARD_SHARE if training else None)
    if (tokens := scoring if stage == "score" else training) is not None:
        return Speed(tokens, "given")
    if (tokens := measured_speed(results, model, stage)) is not None:
        return Speed(tokens, "measured")
    other = OTHER_TRAINING.get(stage)
    if other is not None and (tokens := measured_speed(results, model, other)) is not None:
        return Speed(tokens, f"measured in {other} training")
    return _carried(grid.estimate.get("speeds", {}).get(model, {}), model, stage, device)


def _carried(kinds: Mapping[str, Mapping[str, Any]], model: str, stage: str, device: str) -> Speed | None:
    """A speed of the configuration's `estimate.speeds`."""
    kind = next((kind for kind in kinds if kind == device or (device != CPU and kind != CPU and kind in device)), None)
    if kind is None:
        return None
    section = kinds[kind]
    key = {"pretrain": "pretraining", "score": "scoring"}.get(stage, "training")
    if key in section:
        tokens, how = section[key], key
    elif key == "scoring":
        tokens, how = section["training"] / FORWARD_SHARE, "scoring, as three times training"
    else:
        return None
    said = f"{model} on {kind}: {tokens:,.0f} tokens a second in {how}; the configuration's estimate.speeds: "
    return Speed(tokens, f"assumed for {kind}", said + section["measured"])


def measured_speed(results: Path, model: str, stage: str) -> float | None:
    """Tokens per second of a model's earlier jobs of a stage, from their records; None where there are none."""
    tokens, seconds = 0.0, 0.0
    if stage == "pretrain":
        path = results / "models" / model / "backbone/pretraining.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            # As the estimate counts them: a step's blocks whole, padding and specials with them.
            tokens = float(found["settings"]["steps"] * found["settings"]["tokens_per_step"])
            seconds = found["seconds"]
    else:
        for path in results.glob(RECORDS[stage].format(model=model)):
            found = json.loads(path.read_text(encoding="utf-8"))
            if stage == "score":
                tokens += found["provenance"]["tokens"]
                seconds += found["provenance"]["seconds"]
                continue
            for each in found["stages"]:
                tokens += each["tokens"] + FORWARD_SHARE * each["dev_tokens"]
                seconds += each["seconds"]
    return tokens / seconds if tokens and seconds else None


def device_kind(asked: str | None) -> str:
    """The kind of device that will run the jobs: the one asked for, else this machine's first GPU, else `cpu`.

    A GPU is named as its driver names it, in small letters.
    """
    if asked is not None:
        return asked
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return CPU
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            text=True, check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return CPU
    names = found.stdout.strip().lower().splitlines()
    return names[0].strip() if names else CPU
