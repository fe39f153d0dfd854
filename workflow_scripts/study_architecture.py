"""Study 2, architecture: tables, plot and summary."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.studies.architecture import GridFacts, write_study
    from stiltgrid.studies.model_facts import read_facts

    source, params = snakemake.input, snakemake.params
    predictions = dict(zip(map(tuple, params.cells), source.predictions, strict=True))
    layout = layout_from_params(params.layout)
    files = zip(source.backbones[::2], source.backbones[1::2], strict=True)
    models = {name: read_facts(*paths, params.models[name]) for name, paths in zip(layout.models, files, strict=True)}
    facts = GridFacts(params.families, params.kinds, predictions, models)
    write_study(source.scores, layout, facts, params.section, snakemake.output)


run(main, snakemake)  # noqa: F821
