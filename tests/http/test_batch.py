"""A batch: items of several users in one transaction, each done once, all or none."""

import pytest

from support.batcher import Batcher
from support.install import Installed
from support.sleeping import sleeping
from support.waiting import wait_until

SCHEMA = "CREATE TABLE done (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, who text, claims text);"
ROLES = "CREATE ROLE ann; CREATE ROLE bob; GRANT ann, bob TO larder"
ROUTES = {"done": "SELECT id, who FROM done"}
ADD = "sql=INSERT INTO done SELECT $1::int, current_user, current_setting('request.jwt.claims', true) RETURNING id"
COLUMNS = "SELECT id, who FROM done ORDER BY id"


@pytest.fixture(params=["session", "transaction"])
def pooling(request):
    return request.param


@pytest.fixture
def database(lazy_postgres, tmp_path):
    server = lazy_postgres()
    server.execute(ROLES)
    made = Installed(server, tmp_path / "routes", SCHEMA + "GRANT INSERT, SELECT ON done TO ann, bob;", ROUTES)
    made.install("--to", "larder")
    yield made
    server.drop_database(made.name)
    server.execute("DROP ROLE ann; DROP ROLE bob")


@pytest.fixture
def batch(database, pooling):
    with Batcher(database.environment(), pooling) as made:
        yield made


def add(number, *more, key=None):
    return [f"item={key or number}", ADD, f"value={number}", *more]


def ids(database):
    return [row[0] for row in database.sql("SELECT id FROM done ORDER BY id")]


def outbox(database):
    return {row[0] for row in database.sql("SELECT unnest(string_to_array(tag, E'\\n')) FROM larder.outbox")}


def test_items_are_done_and_recorded(batch, database):
    assert batch(*add(1), *add(2)).list("items") == ["1", "2"]
    assert ids(database) == [1, 2]
    kept = database.sql("SELECT convert_from(key, 'UTF8'), convert_from(record, 'UTF8') FROM larder_kept.job")
    assert sorted(kept) == [("1", "1"), ("2", "2")]


def test_what_was_done_is_not_run_again(batch, database):
    batch(*add(1), *add(2))
    assert batch(*add(7, key=2), *add(3), *add(8, key=1)).list("items") == ["before 2", "3", "before 1"]
    assert batch(*add(9, key=3)).list("items") == ["before 3"]
    assert ids(database) == [1, 2, 3]


def test_a_failed_item_is_named_and_takes_the_others_with_it(batch, database):
    failed = batch(*add(1), "item=bad", "sql=SELECT 1 / $1::int", "value=0", *add(2))
    assert (failed.outcome, failed.kind, failed.item) == ("failed", "statement", "1")
    assert ids(database) == [] and database.sql("SELECT count(*) FROM larder_kept.job")[0][0] == 0
    assert batch(*add(1), *add(2)).list("items") == ["1", "2"]


def test_a_deferred_constraint_is_nobodys_alone(batch, database):
    failed = batch(*add(1), *add(1, key="other"))
    assert (failed.kind, failed.item, failed.of) == ("constraint", "2", "2")
    assert ids(database) == []


def test_each_item_is_its_own_user(batch, database):
    batch(*add(1, "role=ann", 'claims={"sub":"a"}'), *add(2), *add(3, "role=bob"), *add(4, 'claims={"sub":"d"}'))
    rows = database.sql("SELECT who, coalesce(claims, '') FROM done ORDER BY id")
    assert rows == [("ann", '{"sub":"a"}'), ("larder", ""), ("bob", ""), ("larder", '{"sub":"d"}')]


def test_what_an_item_sets_for_its_role_is_reset(batch, database):
    batch("item=1", "sql=SET LOCAL ROLE ann", "sql=SELECT 1", *add(2))
    assert database.sql(COLUMNS) == [(2, "larder")]


def test_a_role_that_may_not_be_taken(batch, database):
    failed = batch(*add(1), *add(2, "role=postgres"))
    assert (failed.kind, failed.item) == ("forbidden", "1")
    assert ids(database) == []


def test_tags_are_left_for_larderd(batch, database):
    batch(*add(1, "tag=one", "tag=two"), *add(2, "tag=two"))
    assert {"one", "two", "public.done(id,who)"} <= outbox(database)
    assert database.sql("SELECT count(*) FROM larder.outbox WHERE lane >= 16") == [(0,)], "larderd takes them at once"
    batch(*add(9, "tag=three", key=2))
    assert "three" not in outbox(database), "of what was not run no tag is left"


def test_a_statement_has_its_own_limit(batch, database):
    slow = ["item=slow", "sql=SELECT pg_sleep(20)", "limit=100"]
    failed = batch(*add(1), *slow, *add(2))
    assert (failed.kind, failed.item) == ("timeout", "1")
    assert batch("item=long", "sql=SELECT pg_sleep(0.2)", "limit=5000", "timeout=8000").outcome == "done"


def test_a_batch_is_cancelled(batch, database):
    batch.send(*add(1), "item=slow", "sql=SELECT pg_sleep(30)", "timeout=60000")
    wait_until(lambda: sleeping(database.sql, "pg_sleep(30)"), 10, "the statement")
    batch.cancel()
    failed = batch.answer()
    assert (failed.kind, failed.item) == ("timeout", "1")
    assert ids(database) == []


def test_two_who_do_the_same_do_it_once(batch, database, pooling):
    """The second waits for the first, and then finds the record."""
    with Batcher(database.environment(), pooling) as other:
        other.send(*add(1), "item=slow", "sql=SELECT pg_sleep(1)")
        wait_until(lambda: sleeping(database.sql, "pg_sleep(1)"), 10, "the statement")
        assert batch(*add(1), *add(2)).list("items") == ["before 1", "2"]
        assert other.answer().outcome == "done"
    assert ids(database) == [1, 2]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_two_with_old_snapshots_do_it_once(database, pooling, isolation):
    database.sql(f"ALTER ROLE larder IN DATABASE {database.name} SET default_transaction_isolation = '{isolation}'",
                 user="postgres")
    with Batcher(database.environment(), pooling) as one, Batcher(database.environment(), pooling) as other:
        other.send(*add(1), "item=slow", "sql=SELECT pg_sleep(1)")
        wait_until(lambda: sleeping(database.sql, "pg_sleep(1)"), 10, "the statement")
        assert one(*add(1), *add(2)).list("items") == ["before 1", "2"]
        assert other.answer().outcome == "done"
    assert ids(database) == [1, 2]


def test_without_install_nothing_is_run(lazy_postgres, pooling):
    server = lazy_postgres()
    name = server.create_database()
    server.execute("CREATE TABLE done (id int, who text, claims text)", database=name, user="larder")
    with Batcher(server.environment | {"PGDATABASE": name}, pooling) as batch:
        assert batch(*add(1)).kind == "uninstalled"
    assert server.execute("SELECT count(*) FROM done", database=name) == [(0,)]
    server.drop_database(name)
