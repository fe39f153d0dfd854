"""Loads and checks the grid once, and answers the rules' questions about it."""

import atexit
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.append(f"{workflow.basedir}/workflow_scripts")

from stiltgrid.data import adapters
from stiltgrid.grid import paths, recipes
from stiltgrid.workflow import resources, runs, job_runner
from stiltgrid.grid.grid import NONE, model_view
from stiltgrid.grid.params import as_params
from stiltgrid.config.loading import load_grid
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.grid.layout import grid_layout
from stiltgrid.utils.memoize import memoize
from stiltgrid.workflow.snakemake_patches import sign_functions
from stiltgrid.workflow.job_digests import Digests
from stiltgrid.grid.cards import card_view
from stiltgrid.data.sources import open_source

runs.collect_rarely()

# Schedulers send SIGUSR1 to every process of a job before its time is up. Training listens; Snakemake, which
# would die of it, must not.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

if workflow.is_main_process and not workflow.dryrun and "--unlock" not in sys.argv:
    sys.stderr.write(runs.lock_notice() or "")
STARTED = time.time()


def data_folder(data_dir):
    """The mirror's folder as jobs see it: a relative one stands beside the Snakefile, wherever the run is."""
    if data_dir is None:
        return None
    folder = Path(data_dir).expanduser()
    return (
        str(folder)
        if folder.is_absolute()
        else os.path.relpath(Path(workflow.basedir, folder))
    )


try:
    GRID = load_grid(config, Path(workflow.basedir), workflow.configfiles)
except StiltgridError as error:
    raise WorkflowError(str(error)) from None

CODE = Digests(
    GRID,
    Path(workflow.basedir, "workflow_scripts"),
    Path(".snakemake"),
)
atexit.register(CODE.save)
LAYOUT = grid_layout(GRID)
DATA_DIR = data_folder(GRID.data_dir)
SOURCE = open_source(GRID.source, DATA_DIR, GRID.world)
TOKENIZER = multiext(
    "results/models/{model}/tokenizer/", "tokenizer.json", "special_tokens.json"
)
BEST_ROWS = "results/tables/best_rows.tsv"
FETCHED = [name for name, model in GRID.models.items() if not model.pretrain]
PRETRAINED = [name for name, model in GRID.models.items() if model.pretrain]
VARIANTS, TEXTS = recipes.variants(GRID), recipes.texts(GRID)
# What a forking parent imports for each rule's jobs; rules that are not named start as plain processes.
WARM = {
    **dict.fromkeys(["prepare_train", "prepare_eval", "prepare_text"], "data"),
    **dict.fromkeys(["prepare_variant", "count_examples"], "data"),
    **dict.fromkeys(["train_tokenizer", "encode_train", "encode_eval"], "data"),
    **dict.fromkeys(
        ["collect_scores", "compare_rows", "summarise", "test_gains"], "data"
    ),
    **dict.fromkeys(["select_rows", "average_benchmarks", "compare_languages"], "data"),
    **dict.fromkeys(
        ["compare_published", "export_benchmark", "export_checkpoint"], "data"
    ),
    **dict.fromkeys(["pretrain_backbone", "train_intermediate"], "torch"),
    "encode_text": "torch",
    **dict.fromkeys(["train_target", "score_target"], "torch"),
    **dict.fromkeys(["embed_task", "train_fisher", "rank_queries"], "torch"),
    **dict.fromkeys(["study_similarity", "study_architecture"], "tables"),
    "study_retrieval": "tables",
    **dict.fromkeys(["plot_transfer_matrix", "plot_languages"], "tables"),
    **dict.fromkeys(["plot_english_and_zero_shot", "plot_published"], "tables"),
    "collect_study_scores": "data",
    "collect_how_many_scores": "data",
    "study_diversity": "tables",
    "study_how_many": "tables",
}


wildcard_constraints:
    model=paths.pattern(list(GRID.models)),
    task="[a-z0-9_]+",
    intermediate=paths.trained_rows(GRID, untrained=True),
    variant=paths.pattern(VARIANTS),
    text=paths.pattern(TEXTS),
    length="[0-9]+",
    target=paths.pattern(GRID.all_targets),
    tuned=paths.pattern(paths.tuned_names(GRID)),
    seed="[0-9]+",


def source_params():
    """What opens the source: for the mini-lab its settings, for a mirror its folder."""
    if GRID.source == "minilab":
        return {"kind": "minilab", "world": as_params(GRID.world)}
    return {"kind": GRID.source, "data_dir": DATA_DIR}


@memoize
def origin_parts(task):
    """Parts of the cards whose rows a task takes over."""
    return {
        name: card_view(card, "prepare", GRID.source)
        for name, card in GRID.origin_cards(task).items()
    }


@memoize
def training_files(model, tasks):
    """What a training stage reads of its tasks: encoded rows, and canonical rows to measure on."""
    encoded = [
        f"results/encoded/{model}/{task}/{split}.arrow"
        for task in tasks
        for split in ("train", "dev")
    ]
    return encoded + [
        f"results/data/{task}/{split}.parquet"
        for task in tasks
        for split in ("train", "dev")
    ]


def plain_task(name):
    """The task whose rows stand under a name, be they a variant's."""
    return VARIANTS[name].task if name in VARIANTS else name


@memoize
def training_params(stage, model, tasks):
    """Cards, settings and files of a stage's tasks."""
    return [
        {
            "card": card_view(GRID.cards[plain_task(task)], "train"),
            "settings": as_params(GRID.training_for(stage, plain_task(task))),
            "train": f"results/encoded/{model}/{task}/train.arrow",
            "train_rows": f"results/data/{task}/train.parquet",
            "dev": f"results/encoded/{model}/{task}/dev.arrow",
            "dev_rows": f"results/data/{task}/dev.parquet",
        }
        for task in tasks
    ]


@memoize
def scored_card(target):
    """What scoring reads of a target's card, with the split that heads the tables under this source."""
    return {
        **card_view(GRID.cards[target], "score"),
        "headline_split": GRID.headline_split(target),
    }


@memoize
def head_card(target):
    """The card whose head is scored: that of the last training stage; None where there is no head."""
    train = GRID.cards[target].train
    return card_view(GRID.cards[train[-1]], "train") if train else None


@memoize
def scoring_precision(target):
    """Scores are computed as the target was trained."""
    train = GRID.cards[target].train
    return GRID.training_for("target", train[-1] if train else target).precision


@memoize
def origin_of_model(model):
    """Where a model's weights come from."""
    chosen = GRID.models[model]
    return {"hub": chosen.hub, "revision": chosen.revision, "path": chosen.path}


def mirror_of_model(model):
    """The folder that may hold a model of the hub's, where the source is a mirror."""
    return DATA_DIR if GRID.source == "local" and GRID.models[model].hub else None


def encoding_files(wildcards):
    """The tokenizer; of a fetched model also the configuration, for its longest sequence."""
    folder = f"results/models/{wildcards.model}"
    files = [
        f"{folder}/tokenizer/tokenizer.json",
        f"{folder}/tokenizer/special_tokens.json",
    ]
    return (
        files
        if GRID.models[wildcards.model].pretrain
        else [*files, f"{folder}/backbone/config.json"]
    )


@memoize
def pretrain_params(model):
    """What pretraining reads of a model's `pretrain:` section: not what made the text and the tokenizer."""
    section = as_params(GRID.models[model].pretrain)
    return {
        key: value
        for key, value in section.items()
        if key not in ("languages", "characters", "tokenizer")
    }


def tokenizer_params(model):
    """How a model's tokenizer is trained; its objective is told where it is not that of an encoder."""
    section = GRID.models[model].pretrain
    causal = section.get("objective") == "causal"
    return as_params(
        {**section["tokenizer"], **({"objective": "causal"} if causal else {})}
    )


def text_request(name):
    """Languages and characters of a raw text: a model's to be pretrained on, or a recipe's beside its tasks."""
    return TEXTS[name] if name in TEXTS else GRID.models[name].pretrain


def text_files(name):
    """Files of raw text, where the source is a mirror."""
    if GRID.source != "local":
        return []
    files = (SOURCE.text_file(language) for language in text_request(name)["languages"])
    return [str(file) for file in files if file]


@memoize
def row_files(task, training):
    """Files of a mirror whose change must prepare a task again; the hub and the mini-lab have none."""
    if GRID.source != "local":
        return []
    card, origins = GRID.cards[task], GRID.origin_cards(task)
    splits = ("train", "dev") if training else GRID.eval_splits(task)
    languages = card.train_languages if training else GRID.languages(task)
    return sorted(
        {
            file
            for split in splits
            for code in languages
            for file in adapters.row_files(card, split, code, SOURCE, training, origins)
        }
    )


def compute_threads(wildcards):
    """One thread for the small models that are pretrained here: two are slower. Profiles may set more."""
    return 1 if GRID.models[wildcards.model].pretrain else 4


@memoize
def held_copies(stage, tasks):
    """Copies of its weights that training on these tasks holds: fewer where all train adapters alone."""
    adapters = tasks and all(GRID.training_for(stage, name).lora for name in tasks)
    return resources.ADAPTER_COPIES if adapters else resources.TRAINING_COPIES


@memoize
def most_epochs(stage, tasks):
    """The most epochs that one of these tasks is trained for."""
    return max((GRID.training_for(stage, name).epochs for name in tasks), default=1)


def training_memory(stage, tasks):
    """Megabytes for training on these tasks; known when the inputs are there."""

    def estimate(wildcards, input, attempt):
        copies = held_copies(stage, tasks(wildcards))
        return resources.memory_mb(input, copies, attempt)

    return estimate


def training_minutes(stage, tasks):
    """Minutes for training on these tasks; known when the inputs are there."""

    def estimate(wildcards, input, attempt):
        epochs = most_epochs(stage, tasks(wildcards))
        return resources.minutes(input, epochs, resources.FORWARD_AND_BACKWARD, attempt)

    return estimate


def scoring_memory(wildcards, input, attempt):
    """Megabytes for scoring; known when the inputs are there."""
    return resources.memory_mb(input, resources.SCORING_COPIES, attempt)


def scoring_minutes(wildcards, input, attempt):
    """Minutes for scoring: one pass over all languages."""
    return resources.minutes(input, 1, resources.FORWARD, attempt)


def kept(path):
    """A tuned model's file, temporary where the configuration does not keep them."""
    return path if GRID.keep_tuned else temp(path)


def print_summary(path):
    """The lines that a run ends with, if it has written them: those of an earlier run may be of another grid."""
    sys.stderr.write(runs.written_since(path, STARTED))
