"""What larder_ring.take() gives to whom, and what becomes of it: sessions of the test are the larderds."""

import pytest

from ring import ROUTES, SCHEMA, session
from support.waiting import wait_until

TAKE = "SELECT cardinality(tags), more, coming, held, lost, asleep FROM larder_ring.take(%s)"


@pytest.fixture
def served(stack):
    """Without any larderd, and with a ring that was told of as lost."""
    made = stack(ROUTES, schema=SCHEMA, module=True, install=True, nginx=False, redis=False)
    with session(made) as cursor:
        assert take(cursor) == (0, {"lost", "asleep"})
    return made


def take(cursor, most=1000):
    """How many tags, and what is true of the ring."""
    cursor.execute(TAKE, (most,))
    taken, *state = cursor.fetchone()
    return (taken, {name for name, each in zip(("more", "coming", "held", "lost", "asleep"), state) if each})


def strike(stack, *numbers):
    stack.sql("UPDATE things SET n = n + 1 WHERE id = ANY (%s)", (list(numbers),))


@pytest.fixture
def two(served):
    with session(served) as first, session(served) as second:
        first.execute("SELECT larder_ring.asleep(false)")
        yield served, first, second


def test_what_is_committed_is_done_and_the_rest_comes_again(two):
    served, first, _ = two
    strike(served, 1, 2, 3)
    for end, left in (("ROLLBACK", 3), ("COMMIT", 0)):
        first.execute("BEGIN")
        assert take(first) == (3, set())
        first.execute(end)
        first.execute("BEGIN")
        assert take(first) == (left, set())
        first.execute("ROLLBACK")


def test_two_have_different_tags_and_know_of_each_other(two):
    served, first, second = two
    strike(served, 1, 2, 3)
    first.execute("BEGIN")
    assert take(first, 2) == (2, {"more"})
    second.execute("BEGIN")
    assert take(second) == (1, {"held"})
    first.execute("ROLLBACK")
    assert take(second) == (2, set()), "what was given back"
    second.execute("COMMIT")
    assert take(first) == (0, set())


def test_a_session_that_ends_gives_back_what_it_had(two):
    served, first, second = two
    strike(served, 1)
    first.execute("BEGIN")
    assert take(first) == (1, set())
    first.connection.close()
    wait_until(lambda: take(second) == (1, set()), what="the tag")


def test_what_was_too_much_comes_in_smaller_parts(two):
    """Whoever could not deliver so many in time asks for fewer."""
    served, first, _ = two
    strike(served, *range(1, 51))
    first.execute("BEGIN")
    assert take(first) == (50, set())
    first.execute("ROLLBACK")
    for number in range(5):
        first.execute("BEGIN")
        assert take(first, 10) == (10, {"more"} if number < 4 else set())
        first.execute("COMMIT")
    assert take(first) == (0, set())


def test_more_than_eight_wait_for_a_claim(two):
    served, first, second = two
    sessions = [session(served) for _ in range(8)]
    cursors = [each.__enter__() for each in sessions]
    for cursor in cursors:
        strike(served, 1)
        cursor.execute("BEGIN")
        assert take(cursor)[0] == 1
    strike(served, 1)
    assert take(first) == (0, {"more", "held"})
    cursors[3].execute("COMMIT")
    assert take(first) == (1, {"held"})
    for each in sessions:
        each.__exit__(None, None, None)
    wait_until(lambda: take(second) == (0, set()), what="all given back and taken")
