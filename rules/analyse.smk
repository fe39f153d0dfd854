"""From the cells' scores to one tidy table, and from that to tables and pictures."""


# Seconds each: on a cluster they run on the login node.
localrules:
    collect_scores,
    compare_rows,
    describe_tables,
    write_latex,
    plot_transfer_matrix,
    plot_languages,
    plot_english_and_zero_shot,
    summarise,


rule collect_scores:
    input:
        cells=[cell.metrics for cell in paths.cells(GRID)],
    output:
        "results/tables/scores.parquet",
    log:
        "logs/tables/scores.log",
    conda:
        "../envs/analysis.yaml"
    params:
        synthetic=LAYOUT.synthetic,
        code=lambda wildcards: CODE.plain("collect_scores"),
    script:
        "../workflow_scripts/collect_scores.py"


rule compare_rows:
    input:
        rules.collect_scores.output,
    output:
        transfer=report(
            "results/tables/transfer.tsv",
            caption="../report/transfer.rst",
            category="Transfer",
            labels={"table": "scores and gains", "by": "cell"},
        ),
        by_language=report(
            "results/tables/transfer_by_language.tsv",
            caption="../report/transfer_by_language.rst",
            category="Transfer",
            labels={"table": "scores and gains", "by": "language"},
        ),
    log:
        "logs/tables/transfer.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        code=lambda wildcards: CODE.plain("compare_rows"),
    script:
        "../workflow_scripts/compare_rows.py"


rule describe_tables:
    output:
        "results/tables/README.md",
    log:
        "logs/tables/readme.log",
    conda:
        "../envs/analysis.yaml"
    params:
        synthetic=LAYOUT.synthetic,
        code=lambda wildcards: CODE.plain("describe_tables"),
    script:
        "../workflow_scripts/describe_tables.py"


rule write_latex:
    input:
        scores=rules.collect_scores.output[0],
        best=BEST_ROWS,
    output:
        "results/tables/transfer.tex",
    log:
        "logs/tables/latex.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(SHOWN),
        code=lambda wildcards: CODE.plain("write_latex"),
    script:
        "../workflow_scripts/write_latex.py"


rule plot_transfer_matrix:
    input:
        scores=rules.collect_scores.output[0],
        best=BEST_ROWS,
    output:
        report(
            "results/plots/transfer_matrix.svg",
            caption="../report/transfer_matrix.rst",
            category="Transfer",
            labels={"plot": "transfer matrix", "by": "cell"},
        ),
        "results/plots/transfer_matrix.png",
        "results/plots/transfer_matrix.pdf",
    log:
        "logs/plots/transfer_matrix.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(SHOWN),
        code=lambda wildcards: CODE.plain("plot_transfer_matrix"),
    script:
        "../workflow_scripts/plot_transfer_matrix.py"


rule plot_languages:
    input:
        rules.collect_scores.output,
    output:
        report(
            "results/plots/languages/{target}.svg",
            caption="../report/languages.rst",
            category="Languages",
            labels={"plot": "languages × intermediates", "target": "{target}"},
        ),
        "results/plots/languages/{target}.png",
        "results/plots/languages/{target}.pdf",
    log:
        "logs/plots/languages/{target}.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=lambda wildcards: as_params(SHOWN.only(wildcards.target)),
        code=lambda wildcards: CODE.plain("plot_languages"),
    script:
        "../workflow_scripts/plot_languages.py"


rule plot_english_and_zero_shot:
    input:
        rules.collect_scores.output,
    output:
        report(
            "results/plots/english_and_zero_shot.svg",
            caption="../report/english_and_zero_shot.rst",
            category="Transfer",
            labels={"plot": "English against zero-shot", "by": "target"},
        ),
        "results/plots/english_and_zero_shot.png",
        "results/plots/english_and_zero_shot.pdf",
    log:
        "logs/plots/english_and_zero_shot.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(SHOWN),
        code=lambda wildcards: CODE.plain("plot_english_and_zero_shot"),
    script:
        "../workflow_scripts/plot_english_and_zero_shot.py"


rule summarise:
    input:
        scores=rules.collect_scores.output,
        tables=rules.compare_rows.output,
        matrix=rules.plot_transfer_matrix.output,
        languages=expand(rules.plot_languages.output, target=GRID.targets),
        english=rules.plot_english_and_zero_shot.output,
        best=BEST_ROWS,
        page=page_job.PAGE,
    output:
        report(
            "results/tables/summary.txt",
            caption="../report/summary.rst",
            category="Transfer",
            labels={"table": "summary", "by": "target"},
        ),
    log:
        "logs/tables/summary.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        code=lambda wildcards: CODE.plain("summarise"),
    script:
        "../workflow_scripts/summarise.py"
