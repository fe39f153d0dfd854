"""Task families (how a task is encoded, its head, how it is decoded and measured) and their metrics.

A new kind of task is a new module in `families`. What differs only by data set is a card, or an adapter in `data`.
"""
