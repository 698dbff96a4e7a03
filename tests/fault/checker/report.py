"""What a run amounted to, in a few lines."""

from .history import MILLISECOND, TIERS


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


class Report:
    """Counts over the judged reads of one run."""

    def __init__(self, judge, reads, begin, end):
        self.judge = judge
        self.answered = [read for each in reads for read in each if read.status in (200, 404)]
        self.unanswered = sum(len(each) for each in reads) - len(self.answered)
        self.seconds = (end - begin) / 1e9
        self.tiers = {name: 0 for name in TIERS}
        for read in self.answered:
            self.tiers[TIERS[read.tier]] += 1
        cached = [read for read in self.answered if judge.targets[read.target].cached]
        self.hit_share = sum(read.hit for read in cached) / max(1, len(cached))

    def ages(self):
        """For each commit that no fault touched, how long after it the older state was still read, in ms; 0: never."""
        ages = []
        for key, timeline in self.judge.timelines.items():
            for index, state in enumerate(timeline.states[:-1]):
                replaced, age = timeline.replaced[index], self.judge.ages.get((key, index), 0)
                if state.outcome == "committed" and self.judge.healthy(replaced, replaced + age):
                    ages.append(age / MILLISECOND)
        return ages

    def during(self, fault):
        return [read for read in self.answered if fault.begin <= read.start <= fault.end]

    def lines(self):
        ages = self.ages()
        behind = sum(age > 0 for age in ages)
        yield (f"{len(self.answered)} reads in {self.seconds:.0f} s, {self.unanswered} without an answer;"
               f" {self.hit_share:.1%} hits; " + ", ".join(f"{name} {count}" for name, count in self.tiers.items()))
        yield (f"{len(ages)} commits beside faults; read behind the commit: {behind} of them; ms behind: p50"
               f" {percentile(ages, 0.5):.1f}, p99 {percentile(ages, 0.99):.1f}, most {max(ages, default=0):.1f}")
        late = [(each.end - each.begin) / MILLISECOND for each in self.judge.busy]
        yield f"the machine itself was late {len(late)} times, by {max(late, default=0):.0f} ms at most"
        for fault in self.judge.faults:
            yield self.line(fault)

    def line(self, fault):
        reads = self.during(fault)
        worst = max((age for (key, index), age in self.judge.ages.items()
                     if fault.begin <= self.judge.timelines[key].replaced[index] <= fault.end), default=0)
        slowest = max((read.end - read.start for read in reads), default=0)
        return (f"  {fault.name}: {(fault.end - fault.begin) / 1e9:.1f} s, {len(reads)} reads, at most"
                f" {worst / MILLISECOND:.0f} ms behind of {fault.bound / MILLISECOND:.0f}, the slowest took"
                f" {slowest / MILLISECOND:.0f} ms")
