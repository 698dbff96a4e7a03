"""Everything that jobs and queued writes need, killed or restarted while they go on."""

from .waiting import wait_until


class Chaos:
    """Blows by chance, each when a share of the work is done."""

    def __init__(self, stack, server, dice):
        self.stack, self.server, self.dice = stack, server, dice
        self.plan = []

    def add(self, count, least, most, blow):
        """So many times, somewhere between those shares of the work."""
        self.plan += [(self.dice.uniform(least, most), blow) for _ in range(count)]

    def run(self, reached, seconds):
        """Strikes each time that `reached(share)` holds, which it has to within the seconds."""
        for share, blow in sorted(self.plan, key=lambda each: each[0]):
            wait_until(lambda: reached(share), seconds, f"{share:.0%} of the work", every=0.05)
            blow()

    def kill_larderd(self):
        victim = self.dice.choice(self.stack.larderds)
        victim.kill()
        victim.start()

    def restart_postgres(self):
        self.server.kill()
        self.server.start()

    def restart_queue(self):
        self.stack.queue.restart()

    def kill_responders(self):
        self.stack.api.kill()
        self.stack.api.start()
