"""What people look at or hand on: plots, the summary, exports of predictions and checkpoints.

Numbers are computed in `analysis`; nothing is computed here that a table does not hold.
"""
