"""What becomes of a write: how soon it shows, what striking costs, and what it costs the writer."""

from . import backlog, crowd, freshness, strikes, triggers
from .site import Site

PROCESSES = 2


def measure(field, quick):
    print(f"\ninvalidate: {PROCESSES} responders and one larderd; writes by plain SQL")
    triggers.make_plain(field)
    triggers.make_empty(field)
    with Site(field, "invalidate", processes=PROCESSES) as site:
        found = freshness.measure(field, site, quick)
        found += strikes.measure(field, site, quick)
        found += triggers.measure(field, quick)
        found += crowd.measure(field, site, quick)
        return found + backlog.measure(field, site, quick)
