"""What the numbers support: intervals, the best row per target, benchmark averages, languages, published figures."""

PREDICTIONS = table_params.predictions(GRID)
CELLS = table_params.cell_keys(GRID)
COUNTED = table_params.counted_families(GRID)
OFFICIAL_LANGUAGES = table_params.official_languages(GRID)
BENCHMARKS = table_params.benchmark_rules()
HUBS = table_params.hub_names(GRID)


# Seconds to minutes: on a cluster they run on the login node.
localrules:
    test_gains,
    select_rows,
    average_benchmarks,
    compare_languages,
    compare_published,
    plot_published,


rule test_gains:
    input:
        scores=rules.collect_scores.output[0],
        # A function, because of a list Snakemake digests the whole for each file.
        predictions=lambda wildcards: PREDICTIONS,
    output:
        report(
            "results/tables/significance.tsv",
            caption="../report/significance.rst",
            category="Transfer",
            labels={"table": "gains with intervals", "by": "cell"},
        ),
        report(
            "results/tables/significance_by_language.tsv",
            caption="../report/significance.rst",
            category="Transfer",
            labels={"table": "gains with intervals", "by": "language"},
        ),
    log:
        "logs/tables/significance.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        families=COUNTED,
        cells=CELLS,
        code=lambda wildcards: CODE.plain("test_gains"),
    script:
        "../workflow_scripts/test_gains.py"


rule select_rows:
    input:
        scores=rules.collect_scores.output[0],
        predictions=lambda wildcards: PREDICTIONS,
    output:
        report(
            BEST_ROWS,
            caption="../report/best_rows.rst",
            category="Transfer",
            labels={"table": "best row", "by": "target"},
        ),
    log:
        "logs/tables/best_rows.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        families=COUNTED,
        cells=CELLS,
        code=lambda wildcards: CODE.plain("select_rows"),
    script:
        "../workflow_scripts/select_rows.py"


rule average_benchmarks:
    input:
        rules.collect_scores.output,
    output:
        report(
            "results/tables/official.tsv",
            caption="../report/official.rst",
            category="Benchmarks",
            labels={"table": "averages of benchmarks", "by": "row"},
        ),
    log:
        "logs/tables/official.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        languages=OFFICIAL_LANGUAGES,
        benchmarks=BENCHMARKS,
        code=lambda wildcards: CODE.plain("average_benchmarks"),
    script:
        "../workflow_scripts/average_benchmarks.py"


rule compare_languages:
    input:
        rules.collect_scores.output,
    output:
        report(
            "results/tables/language_gaps.tsv",
            caption="../report/language_gaps.rst",
            category="Languages",
            labels={"table": "transfer gap, worst language", "by": "cell"},
        ),
        report(
            "results/tables/language_groups.tsv",
            caption="../report/language_groups.rst",
            category="Languages",
            labels={"table": "families and scripts", "by": "cell"},
        ),
    log:
        "logs/tables/languages.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        data=CODE.data_file("languages.csv"),
        code=lambda wildcards: CODE.plain("compare_languages"),
    script:
        "../workflow_scripts/compare_languages.py"


rule compare_published:
    input:
        rules.collect_scores.output,
    output:
        report(
            "results/tables/published.tsv",
            caption="../report/published.rst",
            category="Benchmarks",
            labels={"table": "ours and published", "by": "figure"},
        ),
    log:
        "logs/tables/published.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        languages=OFFICIAL_LANGUAGES,
        benchmarks=BENCHMARKS,
        hubs=HUBS,
        data=CODE.data_file("published.yaml"),
        code=lambda wildcards: CODE.plain("compare_published"),
    script:
        "../workflow_scripts/compare_published.py"


rule plot_published:
    input:
        rules.collect_scores.output,
    output:
        report(
            "results/plots/published.svg",
            caption="../report/published.rst",
            category="Benchmarks",
            labels={"plot": "ours and published", "by": "figure"},
        ),
        "results/plots/published.png",
        "results/plots/published.pdf",
    log:
        "logs/plots/published.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        languages=OFFICIAL_LANGUAGES,
        benchmarks=BENCHMARKS,
        hubs=HUBS,
        data=CODE.data_file("published.yaml"),
        code=lambda wildcards: CODE.plain("plot_published"),
    script:
        "../workflow_scripts/plot_published.py"


COMPARED_TABLES = [
    rules.test_gains.output,
    rules.select_rows.output,
    rules.average_benchmarks.output,
    rules.compare_languages.output,
    rules.compare_published.output,
]
COMPARISONS = [COMPARED_TABLES, rules.plot_published.output]
