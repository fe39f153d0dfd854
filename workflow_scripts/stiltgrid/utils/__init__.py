"""Small tools without knowledge of tasks, models or grids: errors, files, logs, seeds, provenance, strict YAML.

Nothing here imports another package of `stiltgrid`. What knows about a card, a grid or a model belongs elsewhere.
"""
