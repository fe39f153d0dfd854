"""The training stages: the loop, evaluation schedule, early stopping, resumption, language modelling, several GPUs.

Layers, optimizers and batches are in `modeling`.
"""
