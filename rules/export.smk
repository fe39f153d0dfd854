"""What leaves the grid: submission folders for XTREME's evaluate.py, and checkpoints as Hugging Face folders.

`snakemake export_xtreme` and `export_xtreme_r` take each task's best row on development data. Any other folder is a
path: results/exports/{xtreme|xtreme_r}[_partial]/{model}/{row}/seed{seed}, with a row's name in place of `best`.
"""

from stiltgrid import exports


localrules:
    export_xtreme,
    export_xtreme_r,
    export_checkpoints,
    export_benchmark,
    export_checkpoint,


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


def task_facts(task):
    """What a model card says of a training task."""
    card = GRID.cards[task]
    hub = card.hub if GRID.source == "hub" and card.hub else {}
    return {
        "name": task,
        "about": card.about,
        "citation": card.citation,
        "languages": list(card.train_languages),
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
        "tasks": [task_facts(task) for task in recipe.tasks],
    }


rule export_xtreme:
    input:
        expand(
            "results/exports/xtreme/{model}/best/seed{seed}",
            model=GRID.models,
            seed=GRID.seeds[:1],
        ),


rule export_xtreme_r:
    input:
        expand(
            "results/exports/xtreme_r/{model}/best/seed{seed}",
            model=GRID.models,
            seed=GRID.seeds[:1],
        ),


rule export_checkpoints:
    input:
        expand(
            "results/exports/checkpoints/{model}/{intermediate}/seed{seed}",
            model=GRID.models,
            intermediate=[name for name in GRID.intermediates if name != NONE],
            seed=GRID.seeds,
        ),


rule export_benchmark:
    input:
        scores=rules.collect_scores.output[0],
        rows=lambda wildcards: expand(
            "results/data/{target}/eval.parquet", target=exported_targets(wildcards)
        ),
        predictions=lambda wildcards: expand(
            "results/scores/{model}/{row}/{target}/seed{seed}/predictions.parquet",
            model=wildcards.model,
            row=exported_rows(wildcards),
            target=exported_targets(wildcards),
            seed=wildcards.seed,
        ),
    output:
        directory("results/exports/{benchmark}/{model}/{row}/seed{seed}"),
    log:
        "logs/exports/{benchmark}/{model}/{row}/seed{seed}.log",
    wildcard_constraints:
        benchmark="xtreme(_r)?(_partial)?",
        row="[a-z0-9_]+",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        parts=exported_parts,
        code=lambda wildcards: CODE.plain("export_benchmark"),
    script:
        "../workflow_scripts/export_benchmark.py"


rule export_checkpoint:
    input:
        checkpoint=multiext(
            "results/intermediate/{model}/{intermediate}/seed{seed}/",
            "config.json",
            "model.safetensors",
            "training.json",
        ),
        tokenizer=TOKENIZER,
        scores=rules.collect_scores.output[0],
    output:
        directory("results/exports/checkpoints/{model}/{intermediate}/seed{seed}"),
    log:
        "logs/exports/checkpoints/{model}/{intermediate}/seed{seed}.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        facts=checkpoint_facts,
        code=lambda wildcards: CODE.plain("export_checkpoint"),
    script:
        "../workflow_scripts/export_checkpoint.py"
