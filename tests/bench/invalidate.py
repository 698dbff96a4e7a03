"""What becomes of a write: how soon it shows, what striking costs, and what it costs the writer."""

from contextlib import ExitStack

from support.redis_server import Redis

from . import backlog, crowd, freshness, strikes, triggers
from .site import Site

PROCESSES = 2


def module_site(field, stack):
    """Larder over the database with the module, with a Redis of its own: one Redis has one database's definitions."""
    redis = Redis(f"{field.work}/redis-module")
    stack.callback(redis.stop)
    site = stack.enter_context(Site(field, "module", processes=PROCESSES, database=triggers.MODULE, redis=redis))
    triggers.check_module(field)
    return site


def measure(field, quick):
    print(f"\ninvalidate: {PROCESSES} responders and one larderd; writes by plain SQL")
    triggers.make_plain(field)
    triggers.make_empty(field)
    triggers.make_module(field)
    with ExitStack() as stack:
        site = stack.enter_context(Site(field, "invalidate", processes=PROCESSES))
        other = module_site(field, stack)
        found = freshness.measure(field, site, other, quick)
        found += strikes.measure(field, site, quick)
        found += triggers.measure(field, quick)
        found += crowd.measure(field, (site, other), quick)
        return found + backlog.measure(field, site, quick)
