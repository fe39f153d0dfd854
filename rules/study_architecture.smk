"""Study 2: do models of two architectures show different patterns of zero-shot transfer?"""


localrules:
    study_architecture,


def counted(view):
    """How the examples of a view's targets are counted: family, and the options that metrics read."""
    return {
        name: {
            "family": view.cards[name].family,
            "options": {
                **as_params(view.cards[name].options),
                "labels": list(view.cards[name].labels),
            },
        }
        for name in view.targets
    }


def task_families(view):
    """Name of a row or target -> its family; of a row that mixes families, `mixed`."""
    found = {name: view.cards[name].family for name in view.targets}
    for row in view.intermediates:
        kinds = {view.cards[task].family for task in view.recipe(row).tasks}
        found[row] = kinds.pop() if len(kinds) == 1 else "mixed"
    return found


rule study_architecture:
    input:
        scores="results/studies/architecture/scores.parquet",
        predictions=lambda wildcards: [
            cell.metrics.replace("metrics.json", "predictions.parquet")
            for cell in grid_paths.cells(study_grid("architecture"))
        ],
    output:
        likeness=report(
            "results/studies/architecture/likeness.tsv",
            caption="../report/study_architecture.rst",
            category="Studies",
            labels={"study": "architecture", "shows": "likeness"},
        ),
        differences="results/studies/architecture/differences.tsv",
        plots=[
            report(
                "results/studies/architecture/gains.svg",
                caption="../report/study_architecture.rst",
                category="Studies",
                labels={"study": "architecture", "shows": "gains"},
            ),
            "results/studies/architecture/gains.png",
        ],
        summary=report(
            "results/studies/architecture/summary.md",
            caption="../report/study_architecture.rst",
            category="Studies",
            labels={"study": "architecture", "shows": "summary"},
        ),
    log:
        "logs/studies/architecture/study.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=study_layout("architecture"),
        section=study_section("architecture"),
        families=lambda wildcards: counted(study_grid("architecture")),
        kinds=lambda wildcards: task_families(study_grid("architecture")),
        cells=lambda wildcards: [
            [cell.model, cell.intermediate, cell.target, cell.seed]
            for cell in grid_paths.cells(study_grid("architecture"))
        ],
        code=lambda wildcards: CODE.plain("study_architecture"),
    script:
        "../workflow_scripts/study_architecture.py"
