"""Random writes to tables that routes narrow in every way: what is kept is at any time what PostgreSQL would answer."""

import itertools
import random
from urllib.parse import urlencode

import pytest

from support.coherent import SENTINEL_ROUTE, SENTINEL_SCHEMA, barrier, is_hit

COLUMNS = ("id int NOT NULL, owner int, kind text COLLATE \"C\", mood mood, title text, body text,"
           " slug text GENERATED ALWAYS AS (lower(title)) STORED")
READ = ("plans", "parts", "elders")
WRITTEN = (*READ, "juniors")
SCHEMA = f"""
{SENTINEL_SCHEMA}
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE plans ({COLUMNS});
CREATE TABLE parts ({COLUMNS}) PARTITION BY LIST (mood);
CREATE TABLE parts_sad PARTITION OF parts FOR VALUES IN ('sad');
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
CREATE TABLE elders ({COLUMNS});
CREATE TABLE juniors (more int) INHERITS (elders);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.title := NEW.body; RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE UPDATE ON parts_rest FOR EACH ROW WHEN (NEW.owner = 1) EXECUTE FUNCTION shout();
CREATE TABLE offers (id int, owner int, kind text);
"""
OWNERS, MOODS = (None, 1, 2, 3), (None, "sad", "happy")
KINDS = (None, "a", "a,b", "", "null", "x" * 70, "two\nlines")
OFFERS = 8

# name: (statement, parameters, lines)
SHAPES = {
    "all": ("SELECT id, kind, title FROM {table} WHERE (:owner::int IS NULL OR owner = :owner)"
            " AND (:kind::text IS NULL OR kind = :kind) AND (:mood::mood IS NULL OR mood = :mood) ORDER BY id",
            ("owner int default=null", "kind text default=null", "mood mood default=null"),
            ("{table}.owner = :owner and kind = :kind and mood = :mood",)),
    "two": ("SELECT id, mood, body FROM {table} WHERE owner = :owner AND (:kind::text IS NULL OR kind = :kind)"
            " ORDER BY id", ("owner int", "kind text default=null"), ("{table}.owner = :owner and kind = :kind",)),
    "page": ("SELECT id, mood, title, body FROM {table} WHERE owner = :owner ORDER BY id LIMIT 2", ("owner int",),
             ("{table}.owner = :owner", "{table}.id = id for title, body")),
    "named": ("SELECT id, title FROM {table} WHERE owner = :owner AND kind = :kind ORDER BY id DESC",
              ("owner int", "kind text"),
              ("{table}.owner = :owner AND kind = :kind", "{table}.id = id and owner = :owner FOR title")),
    "slugs": ("SELECT id, slug FROM {table} WHERE owner = :owner ORDER BY id", ("owner int",),
              ("{table}.owner = :owner", "{table}.id = id for slug")),
    "latest": ("SELECT id, title, body FROM {table} ORDER BY id DESC LIMIT 4", (),
               ("{table}.id = id for title", "{table}.id = id for body")),
    "offer": ("SELECT o.owner, o.kind, p.id, p.title FROM offers AS o LEFT JOIN {table} AS p ON p.owner = o.owner"
              " AND p.kind IS NOT DISTINCT FROM o.kind WHERE o.id = :offer ORDER BY p.id", ("offer int",),
              ("{table}.owner = owner and kind = kind", "offers.id = :offer")),
    "count": ("SELECT count(*) AS n, max(title) AS last FROM {table} WHERE owner = :owner", ("owner int",),
              ("{table}.owner = :owner",)),
}


def routes():
    made = dict(SENTINEL_ROUTE)
    for table, (name, (statement, params, narrowing)) in itertools.product(READ, SHAPES.items()):
        head = [*(f"@param {each}" for each in params), "@result rows"]
        kept = ["@cache ttl=300s", *(f"@depends {each.format(table=table)}" for each in narrowing)]
        for path, annotations in (("kept", [*head, *kept]), ("fresh", head)):
            lines = (f"@http GET /{path}/{table}/{name}", *annotations)
            made[f"{path}-{table}-{name}"] = "".join(f"-- {line}\n" for line in lines) + statement.format(table=table)
    return made


def targets():
    """What is asked for of each table, behind /kept or /fresh."""
    def given(**values):
        return urlencode({name: value for name, value in values.items() if value is not None})

    asked = {
        "all": [given(owner=owner, kind=kind, mood=mood) for owner, kind, mood in
                ((1, "a", "sad"), (1, "a", None), (1, None, "sad"), (1, None, None), (None, "a", "sad"),
                 (2, "null", "happy"), (2, "x" * 70, None), (3, "two\nlines", "sad"), (None, None, None))],
        "two": [given(owner=owner, kind=kind) for owner in OWNERS[1:] for kind in (None, "a", "a,b", "")],
        "page": [given(owner=owner) for owner in OWNERS[1:]],
        "named": [given(owner=owner, kind=kind) for owner in (1, 2) for kind in ("a", "a,b", "null", "two\nlines")],
        "slugs": [given(owner=owner) for owner in OWNERS[1:]],
        "latest": [""],
        "offer": [given(offer=offer) for offer in range(OFFERS)],
        "count": [given(owner=owner) for owner in OWNERS[1:]],
    }
    return [f"/{table}/{name}?{query}" for table in READ for name, queries in asked.items() for query in queries]


class Writer:
    """Transactions of random statements."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.ids = itertools.count(1)

    def value(self, column):
        choices = {"owner": OWNERS, "kind": KINDS, "mood": MOODS}.get(column)
        return self.random.choice(choices) if choices else f"{column} {self.random.randrange(1000)}"

    def insert(self, table):
        columns = ("owner", "kind", "mood", "title", "body")
        return (f"INSERT INTO {table} (id, owner, kind, mood, title, body) VALUES (%s, %s, %s, %s, %s, %s)",
                [next(self.ids), *map(self.value, columns)])

    def update(self, table):
        columns = self.random.sample(("owner", "kind", "mood", "title", "body"), self.random.choice((1, 1, 1, 2, 3)))
        sets, values = [f"{column} = %s" for column in columns], [self.value(column) for column in columns]
        if self.random.random() < 0.2:
            sets.append(f"id = id + {1000 * next(self.ids)}")
        where, more = self.some(table)
        return f"UPDATE {table} SET {', '.join(sets)} WHERE {where}", [*values, *more]

    def some(self, table):
        """A condition that a few rows fulfil, or one."""
        column = self.random.choice(("id", "id", "id", "owner", "kind"))
        if column != "id":
            return f"{column} = %s", [self.value(column)]
        return f"id = (SELECT id FROM {table} ORDER BY md5(id::text || %s) LIMIT 1)", [str(self.random.random())]

    def merge(self, table):
        """One row that goes, changes or comes."""
        return (f"MERGE INTO {table} AS t USING (SELECT %s AS id) AS s ON t.id = s.id"
                " WHEN MATCHED AND t.mood = 'sad' THEN DELETE WHEN MATCHED THEN UPDATE SET title = 'merged', kind = %s"
                " WHEN NOT MATCHED THEN INSERT (id, owner, title) VALUES (s.id, %s, 'merged')",
                [self.random.randrange(1, 60), self.value("kind"), self.value("owner")])

    def delete(self, table):
        where, values = self.some(table)
        return f"DELETE FROM {table} WHERE {where}", values

    def many(self, table):
        """More values than are told apart."""
        first = next(self.ids) * 100000
        return (f"INSERT INTO {table} (id, owner, kind, mood) SELECT {first} + i, 1 + mod(i, 3), 'k' || i, 'sad'"
                " FROM generate_series(1, 120) AS i", [])

    def few(self, table):
        return f"DELETE FROM {table} WHERE left(kind, 1) = 'k'", []

    def statement(self):
        make = self.random.choices((self.insert, self.update, self.merge, self.delete, self.many, self.few),
                                   (38, 42, 8, 9, 1, 2))[0]
        if self.random.random() < 0.04:
            return "UPDATE offers SET kind = %s WHERE id = %s", [self.value("kind"), self.random.randrange(OFFERS)]
        return make(self.random.choice(WRITTEN))

    def transaction(self, cursor):
        for _ in range(self.random.choice((1, 1, 2, 4))):
            undone = self.random.random() < 0.15
            cursor.execute("SAVEPOINT one")
            cursor.execute(*self.statement())
            cursor.execute("ROLLBACK TO one" if undone else "RELEASE one")


@pytest.fixture(scope="module")
def shared(shared_stack):
    return shared_stack(routes(), schema=SCHEMA, nginx=False, install=True, larderd=True)


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_what_is_kept_is_what_postgresql_answers(shared, seed):
    writer, hits, asked = Writer(seed), 0, 0
    shared.sql(f"TRUNCATE {', '.join(WRITTEN)}, offers")
    shared.sql(f"INSERT INTO offers SELECT i, 1 + mod(i, 3), (%s::text[])[1 + i] FROM generate_series(0, {OFFERS - 1}) AS i",
               [list(KINDS)])
    connection = shared.postgres.connect(shared.database, "larder")
    connection.autocommit = False
    with connection, connection.cursor() as cursor:
        for table in WRITTEN * 12:
            cursor.execute(*writer.insert(table))
    for _ in range(40):
        with connection, connection.cursor() as cursor:
            writer.transaction(cursor)
        barrier(shared)
        for target in targets():
            kept, fresh = shared.direct(f"/kept{target}"), shared.direct(f"/fresh{target}")
            assert (kept.status, kept.body) == (200, fresh.body), target
            hits += is_hit(kept)
            asked += 1
    connection.close()
    assert hits > asked / 2, "else nothing is narrowed"
