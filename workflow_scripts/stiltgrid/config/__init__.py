"""Loading and checking of the configuration: YAML becomes a checked grid, or one list of all its problems.

Runs while Snakemake parses, so it imports neither torch, transformers nor pyarrow. Checks that need a downloaded model
or the rows of a data set belong to the job that reads them.
"""
