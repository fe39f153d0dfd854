"""Choosing each target's row within a budget: what earlier grids say, which cells to run next, how sure the choice is.

`prior`, `belief` and `policy` are numpy alone and know nothing of files; `benchmarks/selection_replay.py` replays them
on published tables. The best row of a finished grid is `analysis.selection`, another question.
"""
