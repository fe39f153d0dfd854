"""What a grid is, as plain data: cards, models, recipes, paths of results, facts of architectures, plans of studies.

Read while Snakemake parses: pure functions and data classes, no torch, no pyarrow, no files opened.
How these are read from YAML and checked is in `config`.
"""
