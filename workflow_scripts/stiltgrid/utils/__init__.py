"""General helpers: errors, atomic files, logs, seeds, provenance, strict YAML.

Nothing here imports another package of `stiltgrid`. Code that knows about cards, grids or models belongs elsewhere.
"""
