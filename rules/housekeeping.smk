"""Asked for by name: what this machine has, what takes space, and an end to what unfinished jobs have left."""


localrules:
    doctor,
    estimate_disk,
    clean_state,


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


rule clean_state:
    log:
        "logs/clean_state.log",
    conda:
        "../envs/data.yaml"
    script:
        "../workflow_scripts/clean_state.py"


# The last file that is included, so that every rule is known.
sign_functions(workflow.rules)
