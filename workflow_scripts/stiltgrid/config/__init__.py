"""From YAML to a checked grid, or one list of everything that is wrong with it.

Runs while Snakemake parses, so torch, transformers and pyarrow are not imported. Checks that need a downloaded model
or a data set's rows belong to the job that reads them.
"""
