"""Answers about study 1 for its rules: where task vectors are and what they are made from."""

from stiltgrid.studies import similarity_files

EMBEDDINGS = "results/studies/similarity/embeddings"


def embedding_option(name, default):
    """A number of the study's section, its default where the section is silent."""
    return (GRID.studies.get("similarity") or {}).get(name, default)


def fisher_task(wildcards):
    """The task whose examples and head a Fisher vector is made with: a row's own, or the last that a target trains on."""
    if wildcards.kind == "row":
        return GRID.recipe(wildcards.tuned).tasks[0]
    return wildcards.tuned.split("+")[-1]


def similarity_vectors(wildcards):
    """Files of task vectors: by model and measure those of rows and of targets."""
    view = study_grid("similarity")
    return similarity_files.vectors(view, GRID.studies["similarity"], EMBEDDINGS)
