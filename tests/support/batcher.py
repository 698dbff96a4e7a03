"""Batches through db/batch.h without larderd."""

import os
from signal import SIGUSR1

from .writer import Writer


class Batcher(Writer):
    """Each call is a batch; `cancel` asks the server to end what runs now."""

    program = "tests/support/batcher"

    def cancel(self):
        os.kill(self.popen.pid, SIGUSR1)
