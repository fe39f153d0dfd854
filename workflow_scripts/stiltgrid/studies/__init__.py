"""The research questions on top of the grid: their statistics, plots and summaries.

Which cells a study asks for is said in `grid.designs`, since the workflow is planned from it.
"""
