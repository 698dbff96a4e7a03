"""What PostgreSQL makes of a pack's route file: its statement with values in place, and the plan it is run by."""

import os
import re

from .stack import pack

LARGE_TABLE_ROWS = 10_000
PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z_]+(?:\.[a-z_]+)*)")


def statement(route):
    """The SQL of "social/routes/feeds.sql"; with @page, of its first page."""
    name, path = route.split("/", 1)
    text = read(f"{pack(name)}/{path}")
    sql = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("--"))
    page = re.search(r'^-- @page by="(.*)"$', text, re.MULTILINE)
    return f"SELECT * FROM ({sql}) AS page ORDER BY {page[1]} LIMIT :limit + 1" if page else sql


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def literal(value):
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def with_literals(route, values):
    return PLACEHOLDER.sub(lambda name: literal(values[name[1]]), statement(route))


def fetch(database, sql, values=()):
    """All rows of one query, in a transaction of its own."""
    with database.cursor() as cursor:
        try:
            cursor.execute(sql, values or None)
            return cursor.fetchall()
        finally:
            database.rollback()


def number(database, sql, *values):
    return fetch(database, sql, values)[0][0]


def explain(database, sql):
    return fetch(database, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql)[0][0][0]["Plan"]


def explain_with_literals(database, route, values):
    return explain(database, with_literals(route, values))


def explain_prepared(database, route, values):
    """The plan PostgreSQL has settled on once it may choose between a custom and a generic one: past five runs."""
    places = {name: f"${place}" for place, name in enumerate(values, start=1)}
    sql = PLACEHOLDER.sub(lambda name: places[name[1]], statement(route))
    call = "EXECUTE pack_route" + (f"({', '.join(map(literal, values.values()))})" if values else "")
    with database.cursor() as cursor:
        try:
            cursor.execute("PREPARE pack_route AS " + sql)
            for _ in range(8):
                cursor.execute(call)
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + call)
            return cursor.fetchone()[0][0]["Plan"]
        finally:
            database.rollback()
            cursor.execute("DEALLOCATE ALL")
            database.rollback()


def plan_nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from plan_nodes(child)


def large_tables(database, *schemas):
    """Their names and numbers of rows."""
    return dict(fetch(
        database,
        "SELECT nspname || '.' || relname, reltuples FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = ANY (%s) AND relkind = 'r' AND reltuples >= %s",
        (list(schemas), LARGE_TABLE_ROWS),
    ))


def check_plan(plan, large, most_pages):
    """No large table is read from end to end, and the pages it touches stay within the bound."""
    read_whole = {
        node["Relation Name"]
        for node in plan_nodes(plan)
        if node["Node Type"] == "Seq Scan" and any(name.endswith("." + node["Relation Name"]) for name in large)
    }
    assert not read_whole
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= most_pages


def reads(name):
    """The GET routes of a pack that are answered whole, as "social/routes/feeds.sql"."""
    return [route for route in gets(name) if "\n-- @stream " not in read_route(route)]


def downloads(name):
    return [route for route in gets(name) if "\n-- @stream " in read_route(route)]


def gets(name):
    files = sorted(os.listdir(f"{pack(name)}/routes"))
    return [route for route in (f"{name}/routes/{file}" for file in files) if "-- @http GET " in read_route(route)]


def read_route(route):
    name, path = route.split("/", 1)
    return read(f"{pack(name)}/{path}")
