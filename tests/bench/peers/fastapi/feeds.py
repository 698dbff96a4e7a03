"""GET /feeds as a FastAPI application: cache-aside in Redis, the page from PostgreSQL.

What is kept is the finished answer (its ETag followed by the body), so that a hit parses and renders no JSON.
"""

import base64
import hashlib
import os

import asyncpg
import redis.asyncio
from fastapi import FastAPI, Query, Request, Response

TAG_SIZE = 24
TTL = 300

with open(os.environ["BENCH_STATEMENT"], encoding="utf-8") as source:
    STATEMENT = source.read()

app = FastAPI(openapi_url=None)
cache = redis.asyncio.Redis.from_url(os.environ["BENCH_REDIS"], max_connections=64, socket_timeout=1)


@app.on_event("startup")
async def connect():
    app.state.database = await asyncpg.create_pool(min_size=1, max_size=5)


@app.on_event("shutdown")
async def disconnect():
    await app.state.database.close()
    await cache.close()


async def fill(key, limit, skip):
    body = (await app.state.database.fetchval(STATEMENT, limit, skip)).encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:16]).rstrip(b"=")
    page = b'"' + digest + b'"' + body
    await cache.set(key, page, ex=TTL)
    return page


@app.get("/feeds")
async def feeds(request: Request, skip: int = Query(0, ge=0, le=10000), limit: int = Query(20, ge=1, le=100)):
    key = f"fastapi:feeds:{skip}:{limit}"
    page = await cache.get(key) or await fill(key, limit, skip)
    tag = page[:TAG_SIZE].decode()
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(page[TAG_SIZE:], media_type="application/json", headers=headers)
