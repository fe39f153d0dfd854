"""Backbone, heads, tokenization, batches, packing, optimizers and device: the tensors, whatever the task.

The loop that trains with them is in `training`; what a task asks of a head is in `tasks`.
"""
