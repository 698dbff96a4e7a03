"""GET /rows as a FastAPI application: csv.writer over an asyncpg cursor, a row a piece, as such programs have it.

/gathered is the same, tuned: pieces of 64 KB and a thousand rows a round trip.
"""

import csv
import io
import os

import asyncpg
from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

PIECE = 65536
PREFETCH = 1000  # rows; asyncpg's own is 50

with open(os.environ["BENCH_ROWS_STATEMENT"], encoding="utf-8") as source:
    STATEMENT = source.read()

app = FastAPI(openapi_url=None)


@app.on_event("startup")
async def connect():
    app.state.database = await asyncpg.create_pool(min_size=1, max_size=5)


@app.on_event("shutdown")
async def disconnect():
    await app.state.database.close()


async def table(count, piece, **options):
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    async with app.state.database.acquire() as connection, connection.transaction(readonly=True):
        statement = await connection.prepare(STATEMENT)
        writer.writerow(column.name for column in statement.get_attributes())
        async for row in statement.cursor(count, **options):
            writer.writerow(row)
            if buffer.tell() >= piece:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue()


def download(pieces):
    return StreamingResponse(pieces, media_type="text/csv",
                             headers={"Content-Disposition": 'attachment; filename="rows.csv"'})


@app.get("/rows")
async def rows(count: int = Query(alias="rows", ge=1, le=10_000_000)):
    return download(table(count, piece=0))


@app.get("/gathered")
async def gathered(count: int = Query(alias="rows", ge=1, le=10_000_000)):
    return download(table(count, piece=PIECE, prefetch=PREFETCH))
