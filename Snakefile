"""The transfer grid: models × intermediates × targets × seeds, from rows of data to a transfer matrix."""

from os.path import exists

from snakemake.utils import min_version

min_version("9.27")


# The configuration in the folder of the run (--directory), else the one beside this file.
FOLDER = "." if exists("config.yaml") else workflow.basedir


configfile: f"{FOLDER}/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/prepare.smk"
include: "rules/train.smk"
include: "rules/score.smk"
include: "rules/analyse.smk"
include: "rules/compare.smk"
include: "rules/page.smk"
include: "rules/export.smk"
include: "rules/studies.smk"
include: "rules/select.smk"
include: "rules/housekeeping.smk"


rule all:
    default_target: True
    input:
        rules.summarise.output,
        rules.make_page.output,
        rules.describe_tables.output,
        rules.write_latex.output,
        rules.plot_transfer_matrix.output,
        rules.plot_english_and_zero_shot.output,
        expand(rules.plot_languages.output, target=GRID.targets),
        COMPARISONS,
        unfinished.outputs(GRID),


onstart:
    runs.note_run()
    runs.note_command(
        sys.argv[1:],
        workflow.dag_settings.targets,
        workflow.overwrite_workdir or ".",
    )
    snakemake_patches.at_start(workflow)


onerror:
    snakemake_patches.show(workflow, so_far.after_failure(GRID, workflow))


onsuccess:
    snakemake_patches.show(workflow, closing.conversion_note(CONVERTED, STARTED))
    summary = runs.written_since(rules.summarise.output[0], STARTED)
    if summary:
        snakemake_patches.show(workflow, summary + stale_files.remove_stale(GRID))
    snakemake_patches.show(
        workflow, runs.written_since(rules.choose_rows.output.summary, STARTED)
    )
    snakemake_patches.show(
        workflow,
        closing.closing_note(
            workflow.dag_settings.targets,
            workflow.overwrite_workdir,
            runs.written_since(rules.summarise.output[0], STARTED),
        ),
    )
