"""The results page: what people open first."""


localrules:
    make_page,


rule make_page:
    input:
        scores=rules.collect_scores.output[0],
        tables=[rules.compare_rows.output, COMPARED_TABLES],
        # Functions, because of a list Snakemake digests the whole for each file.
        predictions=lambda wildcards: PREDICTIONS,
        rows=page_job.row_paths(GRID),
        logs=lambda wildcards: page_job.log_paths(GRID),
    output:
        page_job.PAGE,
    log:
        "logs/page.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        cells=CELLS,
        logs=as_params(page_job.training_logs(GRID)),
        facts=page_job.facts(GRID),
        selection=lambda wildcards: page_job.selection_digest(),
        files=CODE.data_files("reporting/page"),
        data=CODE.data_file("languages.csv"),
        code=lambda wildcards: CODE.plain("make_page"),
    script:
        "../workflow_scripts/make_page.py"
