"""What ties the library to Snakemake: code digests, resources, how jobs are started, estimates, housekeeping.

Nothing else in `stiltgrid` knows of Snakemake; all that reaches into its internals is in `snakemake_patches`.
"""
