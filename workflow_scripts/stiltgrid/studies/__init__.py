"""The research questions on top of the grid: their statistics, plots and summaries.

The cells that a study needs are in `grid.designs`, from which the workflow is planned.
"""
