"""What can break, each a context manager: broken within its block, mended at its end, whatever happens between.

`site` is a stack, or anything with its larderd, redis, postgres and redis_proxy.
"""

import contextlib

from support.network import free_port


@contextlib.contextmanager
def larderd_killed(site):
    site.larderd.kill()
    try:
        yield
    finally:
        site.larderd.start()


@contextlib.contextmanager
def paused(server):
    server.pause()
    try:
        yield
    finally:
        server.resume()


def larderd_stopped(site):
    return paused(site.larderd)


def redis_stopped(site):
    return paused(site.redis)


@contextlib.contextmanager
def redis_killed(site):
    site.redis.kill()
    try:
        yield
    finally:
        site.redis.start()


@contextlib.contextmanager
def redis_full(site):
    site.redis.client().config_set("maxmemory", "1")
    try:
        yield
    finally:
        site.redis.client().config_set("maxmemory", "0")


@contextlib.contextmanager
def redis_read_only(site):
    """A replica whose primary is gone: it reads, and refuses every write."""
    site.redis.client().replicaof("127.0.0.1", str(free_port()))
    try:
        yield
    finally:
        site.redis.client().replicaof("NO", "ONE")


@contextlib.contextmanager
def proxied(proxy, behave, *arguments):
    behave(*arguments)
    try:
        yield
    finally:
        proxy.drop()
        proxy.pass_on()


def redis_loading(site):
    return proxied(site.redis_proxy, site.redis_proxy.answer,
                   b"-LOADING Redis is loading the dataset in memory\r\n")


def network_cut(site):
    return proxied(site.redis_proxy, site.redis_proxy.cut)


def network_late(site):
    """Answers come after everybody's patience."""
    return proxied(site.redis_proxy, site.redis_proxy.delay, 0.4)


@contextlib.contextmanager
def stalled(proxy):
    """Nothing passes for a while; then all of it does, as if nothing had been."""
    proxy.stall()
    try:
        yield
    finally:
        proxy.pass_on()


def network_paused(site):
    return stalled(site.redis_proxy)


@contextlib.contextmanager
def killed(postgres):
    """An immediate shutdown: every client is cut, and unlogged tables come back empty."""
    postgres.kill()
    try:
        yield
    finally:
        postgres.start()


@contextlib.contextmanager
def shut_down(postgres):
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


REDIS_FAULTS = (redis_killed, redis_stopped, redis_full, redis_read_only, redis_loading, network_cut, network_late,
                network_paused)
LARDERD_FAULTS = (larderd_killed, larderd_stopped)
DATABASE_FAULTS = (killed, shut_down, paused)
