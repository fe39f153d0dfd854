"""A state saver that sends signals to its own job."""

import os
import signal

from stiltgrid.training.resume import StateSaver


class SignallingSaver(StateSaver):
    """Sends its process a signal before the given step or evaluation, counted over all attempts of the job."""

    def __init__(self, path, at, number=signal.SIGTERM, where="step"):
        super().__init__(path)
        self.at, self.number, self.where, self.seen = at, number, where, 0

    def _count(self, where):
        if where == self.where:
            self.seen += 1
            if self.seen == self.at:
                os.kill(os.getpid(), self.number)

    def before_step(self, state):
        self._count("step")
        super().before_step(state)

    def interruptible(self, state):
        self._count("evaluation")
        return super().interruptible(state)
