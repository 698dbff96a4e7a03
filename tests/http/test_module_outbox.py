"""Where the triggers of the module for PostgreSQL use the ring, where the outbox, and when everything is to be struck."""

import pytest

from support.install import Installed

STEM = "t" * 500  # so that few fill a ring
LARGE = ",".join(f"rows,{letter * 3500},0,0" for letter in "abcdef")


@pytest.fixture(scope="module")
def server(shared_stack):
    """Room for one database, and little."""
    return shared_stack.postgres(module=True, settings={"larder.ring_size": "16", "larder.ring_databases": "1"})


def made(server, folder):
    """A database whose table has the one trigger of ours."""
    database = Installed(server, folder, "CREATE TABLE things (id int)", {"things": "SELECT id FROM things"})
    server.create_module(database.name)
    database.install()
    for name, in database.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'things'::regclass"):
        database.sql(f"DROP TRIGGER {name} ON things")
    trigger(database, f'rows,"{STEM}",1,id,1,id')
    return database


def trigger(database, words):
    database.sql(f"CREATE OR REPLACE TRIGGER own AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION larder_ring.strike('{{{words}}}')")


@pytest.fixture
def database(server, tmp_path):
    database = made(server, tmp_path / "routes")
    yield database
    server.drop_database(database.name)


def insert(database, numbers):
    """A transaction each."""
    connection = database.connect()
    for number in numbers:
        connection.cursor().execute("INSERT INTO things VALUES (%s)", [number])
    connection.close()


def taken(database):
    """The ids whose tags are in the ring, which leave it, and is it lost?"""
    tags, lost = database.sql("SELECT tags, lost FROM larder_ring.take(1000000)", user="postgres")[0]
    return ids(tags.split("\n") if tags else []), lost


def ids(tags):
    return sorted(int(tag.removeprefix(f"{STEM}=")) for tag in tags)


def test_the_ring_has_what_was_committed(database):
    taken(database)
    insert(database, [1, 2])
    database.sql("BEGIN; INSERT INTO things VALUES (3); ROLLBACK")
    assert (taken(database), database.rows()) == (([1, 2], False), [])


def test_past_its_half_the_outbox_has_the_rest(database):
    taken(database)
    insert(database, range(40))
    in_ring, lost = taken(database)
    assert not lost
    assert 8192 // 600 < len(in_ring) <= 8192 // 500 + 1
    assert sorted(in_ring + ids(database.rows())) == list(range(40))
    database.sql("TRUNCATE larder.outbox", user="postgres")
    insert(database, [50])
    assert (taken(database), database.rows()) == (([50], False), [])


def test_a_transaction_that_has_no_room_makes_all_unknown(database):
    taken(database)
    trigger(database, LARGE)
    insert(database, [1])
    assert (database.sql("SELECT lost FROM larder_ring.take(1000000)", user="postgres"), database.rows()) == ([(True,)], [])
    assert database.sql("SELECT lost FROM larder_ring.take(1000000)", user="postgres") == [(False,)]


def test_a_database_beyond_their_number_uses_the_outbox_until_another_is_dropped(server, database, tmp_path):
    taken(database)
    other = made(server, tmp_path / "other")
    insert(other, [1, 2])
    assert ids(other.rows()) == [1, 2]
    server.drop_database(database.name)
    insert(other, [3])
    assert (taken(other), ids(other.rows())) == (([], True), [1, 2, 3])
    insert(other, [4])
    assert taken(other) == ([4], False)
    server.drop_database(other.name)


def test_until_somebody_takes_the_outbox_is_used(database):
    """A larderd that is older than the module never does."""
    insert(database, [1, 2])
    assert (taken(database), ids(database.rows())) == (([], True), [1, 2])
    insert(database, [3])
    assert (taken(database), ids(database.rows())) == (([3], False), [1, 2])


def test_what_a_restart_forgot_is_told_once(server, database):
    taken(database)
    insert(database, [1])
    server.stop()
    server.start()
    assert taken(database) == ([], True)
    insert(database, [2])
    assert taken(database) == ([2], False)


def test_where_the_server_has_not_loaded_it_the_outbox_is_used(lazy_postgres, tmp_path):
    database = made(lazy_postgres(), tmp_path / "routes")
    insert(database, [1, 2])
    assert ids(database.rows()) == [1, 2]
    lazy_postgres().drop_database(database.name)


def test_where_transactions_may_be_prepared_the_outbox_is_used(stack, tmp_path):
    database = made(stack.postgres(module=True, settings={"max_prepared_transactions": "4"}), tmp_path / "routes")
    insert(database, [1])
    database.sql("BEGIN; INSERT INTO things VALUES (2); PREPARE TRANSACTION 'two'")
    assert ids(database.rows()) == [1]
    database.sql("COMMIT PREPARED 'two'")
    assert ids(database.rows()) == [1, 2]
