"""Loads and checks the grid, and creates the objects that the rules ask for inputs, params and resources."""

import atexit
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.append(f"{workflow.basedir}/workflow_scripts")

from stiltgrid.config.loading import load_grid
from stiltgrid.data.sources import open_source
from stiltgrid.grid import paths
from stiltgrid.grid.grid import NONE, model_view
from stiltgrid.grid.layout import grid_layout, shown_layout
from stiltgrid.grid.params import as_params
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.workflow import (
    closing,
    page_job,
    resources,
    runs,
    snakemake_patches,
    so_far,
    stale_files,
    table_params,
    unfinished,
)
from stiltgrid.workflow.export_jobs import ExportJobs
from stiltgrid.workflow.job_digests import Digests
from stiltgrid.workflow.job_inputs import TOKENIZER_FILES, JobInputs, job_path
from stiltgrid.workflow.job_params import JobParams
from stiltgrid.workflow.selection_jobs import SelectionJobs
from stiltgrid.workflow.study_jobs import EMBEDDINGS, StudyJobs

snakemake_patches.at_parse()

if workflow.is_main_process and not workflow.dryrun and "--unlock" not in sys.argv:
    sys.stderr.write(runs.lock_notice() or "")
STARTED = time.time()
ROOT = Path(workflow.basedir)

if "{" in workflow.basedir or "}" in workflow.basedir:
    raise WorkflowError(
        f"{workflow.basedir}: this folder's name has a brace, which Snakemake takes for the beginning of a wildcard in "
        "the paths of scripts and environments; move or rename it"
    )

try:
    GRID = load_grid(config, ROOT, workflow.configfiles)
except StiltgridError as error:
    raise WorkflowError(str(error)) from None

DATA_DIR = job_path(GRID.data_dir, ROOT)
INPUTS = JobInputs(GRID, open_source(GRID.source, DATA_DIR, GRID.world))
PARAMS = JobParams(INPUTS, ROOT)
NEEDS = resources.JobResources(GRID)
STUDIES = StudyJobs(GRID, ROOT)
SELECTION = SelectionJobs(INPUTS, ROOT)
EXPORTS = ExportJobs(GRID)
CODE = Digests(GRID, ROOT / "workflow_scripts", Path(".snakemake"))
atexit.register(CODE.save)

LAYOUT = grid_layout(GRID)
SHOWN = shown_layout(GRID)
snakemake_patches.quiet_output(workflow, LAYOUT)
TOKENIZER = multiext("results/models/{model}/tokenizer/", *TOKENIZER_FILES)
BEST_ROWS = "results/tables/best_rows.tsv"
FETCHED = [name for name, model in GRID.models.items() if not model.pretrain]
CONVERTED = [name for name in FETCHED if GRID.models[name].convert]
PRETRAINED = [name for name, model in GRID.models.items() if model.pretrain]


wildcard_constraints:
    model=paths.pattern(list(GRID.models)),
    task="[a-z0-9_]+",
    intermediate=paths.trained_rows(GRID, untrained=True),
    variant=paths.pattern(INPUTS.variants),
    text=paths.pattern(INPUTS.texts),
    length="[0-9]+",
    target=paths.pattern(GRID.all_targets),
    tuned=paths.pattern(paths.tuned_names(GRID)),
    seed="[0-9]+",


# A resource, not a param: the tracker reruns nothing.
TRACKED = {"tracker": GRID.tracker} if GRID.tracker else {}


def training_needs(stage, tasks):
    """Memory and minutes of a training stage, `tasks` a function of the wildcards."""
    return {
        "mem_mb": lambda wildcards, input, attempt: NEEDS.training_mb(
            stage, tasks(wildcards), input, attempt
        ),
        "runtime": lambda wildcards, input, attempt: NEEDS.training_minutes(
            stage, tasks(wildcards), input, attempt
        ),
    }


def kept(path):
    """A tuned model's file, temporary where the configuration does not keep them."""
    return path if GRID.keep_tuned else temp(path)
