"""Requested by name: reports on the machine, the grid and the disk, tables so far, removal of what killed jobs left."""


localrules:
    doctor,
    estimate,
    estimate_disk,
    clean_state,
    tables_so_far,


rule doctor:
    log:
        "logs/doctor.log",
    conda:
        "../envs/data.yaml"
    params:
        data_dir=DATA_DIR,
        configfiles=workflow.configfiles,
    script:
        "../workflow_scripts/doctor.py"


rule estimate:
    log:
        "logs/estimate.log",
    conda:
        "../envs/training.yaml"
    params:
        jobs=lambda wildcards: workflow.cores or 1,
        data_dir=DATA_DIR,
        configfiles=workflow.configfiles,
        # Folders of models, whose tokenizers count the tokens of rows that are not encoded yet.
        folders={
            name: job_path(GRID.models[name].path, ROOT) for name in GRID.own_models
        },
        # What the command line laid over the default configuration, for the dry run.
        overlays=[str(file) for file in workflow.config_settings.configfiles],
        settings=dict(workflow.config_settings.config),
        triggers=lambda wildcards: [
            str(trigger) for trigger in workflow.dag_settings.rerun_triggers
        ],
    script:
        "../workflow_scripts/estimate.py"


rule estimate_disk:
    log:
        "logs/estimate_disk.log",
    conda:
        "../envs/data.yaml"
    params:
        jobs=lambda wildcards: workflow.cores or 1,
        configfiles=workflow.configfiles,
    script:
        "../workflow_scripts/estimate_disk.py"


rule tables_so_far:
    # Of the cells that are finished, while others are not or have failed. Without outputs, so it always runs.
    log:
        "logs/tables_so_far.log",
    conda:
        "../envs/analysis.yaml"
    params:
        configfiles=workflow.configfiles,
        overlays=[str(file) for file in workflow.config_settings.configfiles],
        settings=dict(workflow.config_settings.config),
        triggers=lambda wildcards: [
            str(trigger) for trigger in workflow.dag_settings.rerun_triggers
        ],
    script:
        "../workflow_scripts/tables_so_far.py"


rule clean_state:
    log:
        "logs/clean_state.log",
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/clean_state.py"


# The last file that is included, so that every rule is known.
snakemake_patches.after_rules(workflow)
