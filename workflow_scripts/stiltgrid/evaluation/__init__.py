"""Predictions of a checkpoint, scores of a cell, vectors of a task, ranks of retrieval queries.

Metrics are in `tasks.metrics`; statistics over the cells of a grid are in `analysis`.
"""
