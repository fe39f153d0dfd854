"""Answers about the grid for the rules that compare and export; `common.smk` holds those of every rule."""

from hashlib import sha256

from stiltgrid.reporting import exports


def data_digest(name):
    """Digest of a data file inside the package, which the digests of code do not cover."""
    file = Path(workflow.basedir, "workflow_scripts", "stiltgrid", "analysis", name)
    return sha256(file.read_bytes()).hexdigest()[:16]


def exported_rows(wildcards):
    """The rows that an export may take its tasks from."""
    return GRID.intermediates if wildcards.row == "best" else [wildcards.row]


def exported_targets(wildcards):
    """The tasks of an export that this grid scores; with a WorkflowError listing all that is missing."""
    benchmark = wildcards.benchmark.removesuffix("_partial")
    problems = exports.grid_problems(GRID, benchmark)
    if wildcards.row != "best" and wildcards.row not in GRID.intermediates:
        problems.append(f"row '{wildcards.row}': not among the intermediates")
    if problems and benchmark == wildcards.benchmark:
        raise WorkflowError(exports.refusal(benchmark, problems))
    return [task for task in exports.exported_tasks(benchmark) if task in GRID.targets]


def exported_parts(wildcards):
    """What an export reads of each task's card and files; `{row}` stands for the row it is taken from."""
    benchmark = wildcards.benchmark.removesuffix("_partial")
    folder = f"results/scores/{wildcards.model}/{{row}}"
    return [
        {
            "task": task,
            "family": GRID.cards[task].family,
            "labels": list(GRID.cards[task].labels),
            "languages": list(GRID.cards[task].benchmarks.get(benchmark, ())),
            "predictions": f"{folder}/{task}/seed{wildcards.seed}/predictions.parquet",
            "rows": f"results/data/{task}/eval.parquet",
            "examples": GRID.evaluation_for(task).examples,
        }
        for task in exported_targets(wildcards)
    ]


def task_facts(row, task):
    """What a model card says of a training task."""
    card, item = GRID.cards[task], recipes.variant_of(GRID, row, task)
    found = recipes.of_version(card, item.version).hub
    hub = found if GRID.source == "hub" and found else {}
    return {
        "name": task,
        "about": card.about,
        "citation": card.citation,
        "languages": list(item.languages or card.train_languages),
        "source": GRID.source,
        "hub": hub.get("path"),
        "revision": hub.get("revision"),
    }


def checkpoint_facts(wildcards):
    """What a model card says of a checkpoint."""
    model, recipe = GRID.models[wildcards.model], GRID.recipe(wildcards.intermediate)
    return {
        "model": wildcards.model,
        "intermediate": wildcards.intermediate,
        "seed": int(wildcards.seed),
        "base": model.hub,
        "revision": model.revision,
        "licence": model.licence,
        "recipe": as_params(recipe),
        "tasks": [
            task_facts(step, task)
            for step in GRID.chain(wildcards.intermediate)
            for task in GRID.recipe(step).tasks
        ],
    }
