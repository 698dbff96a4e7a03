"""100,000 jobs while everything that they need is killed: each is done exactly once, and none is lost.

The table counts: it has no key, so a job that was done twice has two rows in it. What is killed when is told by how far
the jobs are, not by the clock.
"""

import random

from support.chaos import Chaos
from support.jobs import dead, left
from support.poster import Poster
from support.waiting import wait_until

JOBS, SECONDS = 100000, 150
KILLS = 12
LARDERDS = 2
SCHEMA = """
CREATE TABLE done (number int NOT NULL, place bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE tally (part int PRIMARY KEY, jobs int NOT NULL);
INSERT INTO tally SELECT part, 0 FROM generate_series(0, 9999) AS part;
"""
# Two statements: a job that is half done shows as well.
ROUTES = {"job": "-- @http POST /count\n-- @param number int\n-- @result none\n-- @async retries=20 timeout=20s\n"
                 "INSERT INTO done (number) VALUES (:number);\n"
                 "UPDATE tally SET jobs = jobs + 1 WHERE part = :number % 10000\n"}


def chaos(stack, server, dice):
    blows = Chaos(stack, server, dice)
    blows.add(KILLS, 0.02, 0.97, blows.kill_larderd)
    blows.add(1, 0.05, 0.15, blows.restart_queue)
    blows.add(1, 0.5, 0.6, blows.restart_queue)
    blows.add(1, 0.25, 0.45, blows.restart_postgres)
    blows.add(1, 0.05, 0.2, blows.kill_responders)
    return blows


def begun(stack, server):
    """How many jobs were begun, those counted twice that were rolled back and made again."""
    return server.execute("SELECT last_value FROM done_place_seq", database=stack.database)[0][0]


def test_every_job_is_done_once_whoever_is_killed(stack):
    # Of a killed server everything that was committed has to be there again.
    server = stack.postgres(settings={"synchronous_commit": "on"})
    served = stack(ROUTES, schema=SCHEMA, postgres=server, queue=True, install=True, larderd=LARDERDS, nginx=False)
    seed = random.randrange(1 << 32)
    print(f"dice: {seed}")
    with Poster(served.api.socket, "/count", JOBS, seconds=SECONDS) as poster:
        chaos(served, server, random.Random(seed)).run(
            lambda share: begun(served, server) >= share * JOBS or (poster.popen.poll() is not None and
                                                                    left(served) == 0), SECONDS)
        filed = poster.filed()
    wait_until(lambda: left(served) == 0, SECONDS, "the last job")
    assert not dead(served)
    rows = served.sql("SELECT number, count(*) FROM done GROUP BY number HAVING count(*) > 1 LIMIT 5")
    assert not rows, {number: filed[number] for number, _ in rows}
    assert served.sql("SELECT count(*), min(number), max(number) FROM done") == [(JOBS, 1, JOBS)]
    assert served.sql("SELECT DISTINCT jobs FROM tally") == [(JOBS // 10000,)]
    assert states(served, filed) == {b"done"}


def states(served, filed):
    """Of all jobs, as Redis has them."""
    queue = served.queue.client().pipeline(transaction=False)
    for _, path in filed.values():
        queue.hget(f"larder:q:j:{path.removeprefix('/jobs/')}", "s")
    return set(queue.execute())
