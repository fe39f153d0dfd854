"""Backbone, heads, tokenization, batches, packing, optimizers and device: tensors, independent of any task.

The training loop is in `training`. How a task family uses a head is in `tasks`.
"""
