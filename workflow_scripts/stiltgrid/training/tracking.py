"""Live tracking of a training job by one of the trackers that accelerate knows, such as TensorBoard.

The lines of `log.jsonl` are handed on as they are written: losses, learning rate, gradient norm, development scores.
Nothing of a job's result depends on it, so it is no part of code digests. A tracker that fails is reported once and
left.
"""

import json
import logging
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stiltgrid.utils import logs

FOLDER = Path("results/tracking")
RESOURCE = "tracker"  # of the rules that train: it names the tracker, and reruns nothing
SHOWN = ("loss", "learning_rate", "gradient_norm")
LOG = logging.getLogger(__name__)


class Tracking:
    """Hands the lines of one job on to a tracker, which starts with the first stage of the job.

    Steps are counted over all stages. A resumed job goes on in the same run: TensorBoard drops what was written after
    the step that it resumes from, Weights & Biases keeps its steps. Other trackers get a new run named after that step.
    """

    def __init__(self, tracker: str, rule: str, names: tuple[str, ...], folder: Path = FOLDER) -> None:
        self.tracker, self.name = tracker, "/".join((rule, *names))
        self.folder = folder / tracker
        self._running: Any = None
        self._broken = False
        self._before = 0  # steps of the finished stages

    def take(self, line: Mapping[str, Any]) -> None:
        """A line of the training log, or the beginning of a stage."""
        if self._broken:
            return
        try:
            if "begins_after" in line:
                self._begin(line["begins_after"], line["resumes_after"])
            elif self._running is not None:
                self._running.log(values_of(line), step=self._before + line["step"])
        except Exception as error:  # a service that does not answer, a full disk: training is worth more
            self._fail(error)

    def finish(self) -> None:
        """The job ends."""
        if self.take in logs.listeners:
            logs.listeners.remove(self.take)
        running, self._running = self._running, None
        if running is not None:
            try:
                running.finish()
            except Exception as error:
                self._fail(error)

    def _begin(self, before: int, after: int) -> None:
        self._before = before
        if self._running is None:
            self._running = self._started(before + after)

    def _started(self, step: int) -> Any:
        """The tracker of a run that begins, or goes on after `step`."""
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        kind: Any = LOGGER_TYPE_TO_CLASS[self.tracker]
        place = self.folder / self.name
        if step == 0:
            shutil.rmtree(place, ignore_errors=True)
        name = self.name
        settings: dict[str, Any] = {}
        if self.tracker == "tensorboard":
            settings = {"purge_step": step + 1} if step else {}
        elif self.tracker == "wandb":
            settings = {"id": _identity(place, step), "name": name, "resume": "allow", "dir": str(place)}
            name = "stiltgrid"  # accelerate's name of a run is a project of W&B
        elif step:
            name = f"{name} from step {step}"
        self.folder.mkdir(parents=True, exist_ok=True)
        where = (str(self.folder),) if kind.requires_logging_directory else ()
        running = kind(name, *where, **settings)
        running.start()
        return running

    def _fail(self, error: Exception) -> None:
        self._broken = True
        LOG.warning("tracker '%s': %s: %s; training continues without it", self.tracker, type(error).__name__, error)


def values_of(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a log line by the names that a tracker shows: `loss/mnli`, `learning_rate`, `dev/mnli`."""
    if "dev" in line:
        return {**{f"dev/{task}": score for task, score in line["dev"].items()}, "dev/mean": line["score"]}
    task = f"/{line['task']}" if "task" in line else ""
    return {name + (task if name == "loss" else ""): line[name] for name in SHOWN if name in line}


def follow(snakemake: Any) -> Tracking | None:
    """Track a script's job where its rule asks for it; end it with `finish`."""
    tracker = snakemake.resources.get(RESOURCE)
    if not tracker:
        return None
    tracking = Tracking(str(tracker), snakemake.rule, tuple(map(str, snakemake.wildcards)))
    logs.listeners.append(tracking.take)
    return tracking


def _identity(place: Path, step: int) -> str:
    """The identity of a W&B run: a new one at the start of a job, the same for a resumed one."""
    file = place / "run.json"
    if step == 0 or not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"id": uuid.uuid4().hex}), encoding="utf-8")
    return str(json.loads(file.read_text(encoding="utf-8"))["id"])
