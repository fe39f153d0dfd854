"""Output for people and other programs: plots, the summary, exports of predictions and checkpoints.

Shows the numbers that `analysis` computes and computes none of its own.
"""
