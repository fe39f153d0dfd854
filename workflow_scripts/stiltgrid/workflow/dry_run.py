"""The jobs of a grid by Snakemake's own dry run, in a process of its own, which changes no file.

The jobs are read from the events that Snakemake logs (`LogEvent.JOB_INFO`), which logger plugins read too.
"""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stiltgrid.utils.errors import StiltgridError

ALL = "all"
LIBRARY = Path(__file__).resolve().parents[2]
PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from stiltgrid.workflow.dry_run import write_jobs; write_jobs(*sys.argv[2:])"
)
LAST_LINES = 3000  # characters of Snakemake's output in an error


@dataclass(frozen=True)
class PlannedJob:
    """A job that a run would take."""

    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...]


def planned_jobs(
    snakefile: Path,
    configfiles: Sequence[str],
    settings: Mapping[str, Any],
    targets: Sequence[str] = (),
    triggers: Sequence[str] | None = None,
) -> list[PlannedJob]:
    """Every job of some targets, or of the configured grid, `all` aside, whether its files are there or not.

    `configfiles` and `settings` are what the command line laid over the default configuration. With `triggers`
    (Snakemake's names, `--rerun-triggers`) only the jobs that a run would take now. Raises StiltgridError with
    Snakemake's last lines where it reports an error.
    """
    request = {
        "snakefile": str(snakefile),
        "configfiles": [str(Path(file).resolve()) for file in configfiles],
        "config": dict(settings),
        "targets": list(targets),
        "triggers": None if triggers is None else list(triggers),
    }
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "request.json"), Path(folder, "jobs.json")
        given.write_text(json.dumps(request), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, str(LIBRARY), str(given), str(found)],
            text=True, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise StiltgridError(f"the jobs of the grid cannot be planned:\n{done.stdout[-LAST_LINES:]}")
        jobs = json.loads(found.read_text(encoding="utf-8"))
    return [PlannedJob(job["rule"], job["wildcards"], tuple(job["inputs"])) for job in jobs]


def write_jobs(request: str, out: str) -> None:
    """Plan the jobs of a request (see `planned_jobs`) and write them to `out` as JSON; exits with 1 on an error."""
    from snakemake.api import SnakemakeApi
    from snakemake.logging import logger
    from snakemake.settings.enums import RerunTrigger
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    everything = {"forceall": True}
    if asked["triggers"] is not None:
        triggers = RerunTrigger.parse_choices_set(asked["triggers"])
        everything = {"forceall": False, "rerun_triggers": triggers, "force_incomplete": True}
    jobs = JobEvents()
    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        logger.addHandler(jobs)
        try:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(
                    configfiles=[Path(file) for file in asked["configfiles"]], config=asked["config"]
                ),
                snakefile=Path(asked["snakefile"]),
            )
            dag = workflow.dag(DAGSettings(targets=set(asked["targets"]), **everything))
            dag.execute_workflow(executor="dryrun")
        except Exception as error:
            api.print_exception(error)
            sys.exit(1)
    Path(out).write_text(json.dumps([asdict(job) for job in jobs.found]), encoding="utf-8")


class JobEvents(logging.Handler):
    """Collects the jobs that Snakemake logs, the target rule `all` aside."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[PlannedJob] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record where it is about a job."""
        from snakemake_interface_logger_plugins.common import LogEvent

        facts = vars(record)
        if facts.get("event") == LogEvent.JOB_INFO and facts["rule_name"] != ALL:
            wildcards = {key: str(value) for key, value in facts["wildcards"].items()}
            self.found.append(PlannedJob(facts["rule_name"], wildcards, tuple(map(str, facts["input"]))))
