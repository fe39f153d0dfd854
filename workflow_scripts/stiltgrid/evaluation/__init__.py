"""Predictions of a checkpoint, scores of a cell, task embeddings, ranks of retrieval queries.

Metrics are in `tasks.metrics`. Statistics over the cells of a grid are in `analysis`.
"""
