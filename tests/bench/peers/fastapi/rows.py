"""GET /rows as a FastAPI application: csv.writer over an asyncpg cursor, 64 KB a piece."""

import csv
import io
import os

import asyncpg
from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

PIECE = 65536
PREFETCH = 1000  # rows a round trip; with asyncpg's own 50 it is slower

with open(os.environ["BENCH_ROWS_STATEMENT"], encoding="utf-8") as source:
    STATEMENT = source.read()

app = FastAPI(openapi_url=None)


@app.on_event("startup")
async def connect():
    app.state.database = await asyncpg.create_pool(min_size=1, max_size=5)


@app.on_event("shutdown")
async def disconnect():
    await app.state.database.close()


async def table(count):
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    async with app.state.database.acquire() as connection, connection.transaction(readonly=True):
        statement = await connection.prepare(STATEMENT)
        writer.writerow(column.name for column in statement.get_attributes())
        async for row in statement.cursor(count, prefetch=PREFETCH):
            writer.writerow(row)
            if buffer.tell() >= PIECE:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue()


@app.get("/rows")
async def rows(count: int = Query(alias="rows", ge=1, le=10_000_000)):
    return StreamingResponse(table(count), media_type="text/csv",
                             headers={"Content-Disposition": 'attachment; filename="rows.csv"'})
