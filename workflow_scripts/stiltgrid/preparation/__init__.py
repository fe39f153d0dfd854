"""What is made once and read by every cell: canonical rows, token ids, fetched models, mirrors, example budgets.

What depends on a row of the grid (an intermediate task) is in `training` or `evaluation`.
"""
