"""The task families: how a task is encoded, which head it has, how it is decoded and measured; and the metrics.

A new kind of task is a new module in `families`. What differs only by data set is a card, or an adapter in `data`.
"""
