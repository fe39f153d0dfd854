"""Data shared by all cells of the grid: canonical rows, token ids, downloaded models, mirrors, example budgets.

Work for one row of the grid (an intermediate task) is in `training` or `evaluation`.
"""
