"""The grid as plain data: cards, models, recipes, paths of results, facts about architectures, plans of studies.

Imported while Snakemake parses: pure functions and data classes that open no file and import neither torch nor
pyarrow. Reading them from YAML and checking them belongs in `config`.
"""
