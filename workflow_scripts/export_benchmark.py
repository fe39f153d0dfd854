"""A submission folder for XTREME's evaluate.py, of one row or of each task's best on development data."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.export_rows import BEST, chosen_rows
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.exports import Part, export_benchmark

    parts, wildcards = snakemake.params.parts, snakemake.wildcards
    benchmark, tasks = wildcards.benchmark.removesuffix("_partial"), [part["task"] for part in parts]
    rows = dict.fromkeys(tasks, wildcards.row)
    if wildcards.row == BEST:
        rows = chosen_rows(snakemake.input.scores, layout_from_params(snakemake.params.layout), wildcards.model, tasks)
    export_benchmark(
        benchmark,
        [
            Part(
                **{
                    **part,
                    "labels": tuple(part["labels"]),
                    "languages": tuple(part["languages"]),
                    "predictions": part["predictions"].format(row=rows[part["task"]]),
                    "intermediate": rows[part["task"]],
                }
            )
            for part in parts
        ],
        snakemake.output[0],
        {
            "model": wildcards.model,
            "row": wildcards.row,
            "seed": int(wildcards.seed),
            "synthetic": snakemake.params.layout["synthetic"],
        },
        partial=benchmark != wildcards.benchmark,
    )


run(main, snakemake)  # noqa: F821
