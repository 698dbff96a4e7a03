"""Two databases of the same tables, routes and rows: one whose row triggers are the module's, one where they are in
PL/pgSQL."""

import contextlib

from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from . import install_tags
from .install import Installed
from .install_module import WithModule

SCHEMA = install_tags.SCHEMA + """
CREATE DOMAIN short AS varchar(200);
CREATE TABLE kinds (id int PRIMARY KEY, flag bool, code uuid, mood mood, small smallint, big bigint, name varchar(200),
    address inet, fixed char(6), price numeric, label short, body jsonb, seen timestamptz, data bytea, list int[],
    pair users, unread int);
CREATE TABLE stamped (id int PRIMARY KEY, what text, stamp int DEFAULT 0);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.stamp := OLD.stamp + 1; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE late (id int PRIMARY KEY);
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE users SET age = NEW.id WHERE id = 1; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
CREATE TABLE shards_c (what text, gone int, id int);
ALTER TABLE shards_c DROP gone;
ALTER TABLE shards ATTACH PARTITION shards_c FOR VALUES FROM (20) TO (30);
"""


def by(column, reads):
    return f"-- @param {column}\n-- @depends kinds.{column} = :{column}\nSELECT {reads} FROM kinds WHERE {column} = :{column}"


ROUTES = install_tags.ROUTES | {
    "kinds": "SELECT address::text, fixed, price, label, body, seen::text, encode(data, 'hex') AS data, list, pair::text "
             "FROM kinds",
    "kinds-number": "SELECT count(*) FROM kinds",
    **{f"kinds-{column}": by(column, "body") for column in ("flag", "code", "mood", "small", "big", "name")},
    "kinds-three": "-- @param name\n-- @param flag\n-- @param code\n"
                   "-- @depends kinds.name = :name and flag = :flag and code = :code\n"
                   "SELECT price FROM kinds WHERE name = :name AND flag = :flag AND code = :code",
    "stamps": "SELECT stamp FROM stamped",
    "stamp": "-- @param id\n-- @depends stamped.id = :id\nSELECT what FROM stamped WHERE id = :id",
}


class Twins:
    """What statements strike in the one and in the other, which begin with the same rows."""

    def __init__(self, module, plain):
        self.module, self.plain = module, plain

    def fill(self):
        for database in (self.module, self.plain):
            install_tags.fill(database)
            database.sql("TRUNCATE kinds, stamped, late, cities")
            database.sql("INSERT INTO kinds (id, flag, name, price) VALUES (1, true, 'one', 1.0), (2, NULL, NULL, NULL)")
            database.sql("INSERT INTO stamped VALUES (1, 'a'), (2, 'b')")

    def struck(self, *statements, user="larder"):
        """What each transaction strikes, as the statement that ended it, the tags by the module, those in PL/pgSQL."""
        module, plain = ([*transactions(each, statements, user)] for each in (self.module, self.plain))
        assert [ended for ended, _ in module] == [ended for ended, _ in plain]
        return [(ended, tags, others) for (ended, tags), (_, others) in zip(module, plain)]


def transactions(database, statements, user):
    database.struck()
    connection = database.connect(user)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            if connection.info.transaction_status == TRANSACTION_STATUS_IDLE:
                yield statement, set(database.rows())
                database.sql("TRUNCATE larder.outbox", user="postgres")
    connection.close()


@contextlib.contextmanager
def twins(server, folder):
    module, plain = WithModule(server, f"{folder}/routes", SCHEMA, ROUTES), Installed(server, f"{folder}/routes", SCHEMA, ROUTES)
    for each in (module, plain):
        each.install()
    yield Twins(module, plain)
    for each in (module, plain):
        server.drop_database(each.name)
