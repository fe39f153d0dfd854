"""Answers about study 5 for its rules: what is ranked, from which checkpoint, and where the ranks are."""

from stiltgrid.grid.designs import retrieval as retrieval_design


def retrieval_cells(wildcards):
    """Model, row, target, phase and seed of everything that is ranked. Phases: before and after retrieval training."""
    view = study_grid("retrieval")
    trained = retrieval_design.trained_on(GRID.studies["retrieval"], GRID)
    return [
        [cell.model, cell.intermediate, cell.target, phase, cell.seed]
        for cell in paths.cells(view)
        for phase in ("before", "after")
        if phase == "before" or GRID.cards[cell.target].train or trained
    ]


def ranks_file(model, row, target, phase, seed):
    """Where ranks are: what a trained target's scoring has ranked already, or a file of this study."""
    if phase == "after" and GRID.cards[target].train:
        return f"results/scores/{model}/{row}/{target}/seed{seed}/predictions.parquet"
    return f"results/studies/retrieval/ranks/{model}/{row}/{target}/{phase}/seed{seed}.parquet"


def ranked_checkpoint(wildcards):
    """The row's own checkpoint, or the one that it was tuned to for retrieval."""
    row = wildcards.model, wildcards.intermediate
    if wildcards.phase == "before":
        return paths.checkpoint(paths.intermediate_folder(*row, wildcards.seed))
    trained = retrieval_design.trained_on(GRID.studies["retrieval"], GRID)
    return paths.checkpoint(paths.scored_folder(GRID, *row, trained, wildcards.seed))
