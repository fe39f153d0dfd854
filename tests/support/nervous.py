"""A keeper of state that disturbs its own job."""

import os
import signal

from stiltgrid.training.resume import Keeper


class Nervous(Keeper):
    """Sends its own process a signal at the given calls for a state (counted over the job's attempts)."""

    def __init__(self, path, at, number=signal.SIGTERM, where="step"):
        super().__init__(path)
        self.at, self.number, self.where, self.steps = at, number, where, 0

    def _perhaps(self, where):
        if where == self.where:
            self.steps += 1
            if self.steps == self.at:
                os.kill(os.getpid(), self.number)

    def after_step(self, state):
        self._perhaps("step")
        super().after_step(state)

    def pause(self, state):
        if self.where == "evaluation":
            self.steps += 1
            if self.steps == self.at:
                self._told = self.number
        return super().pause(state)
