"""What connects the library to Snakemake: inputs, params and resources of jobs, code digests, estimates, housekeeping.

No other package knows about Snakemake. All changes to Snakemake itself are in `snakemake_patches`.
"""
