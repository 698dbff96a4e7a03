// GET /feeds as a Fastify application in as many processes as BENCH_PROCESSES says: cache-aside in Redis, the page
// from PostgreSQL. What is kept is the finished answer (its ETag followed by the body), so a hit parses no JSON.

import cluster from "node:cluster";
import { createHash } from "node:crypto";
import { chmodSync, readFileSync } from "node:fs";
import Fastify from "fastify";
import { Redis } from "ioredis";
import pg from "pg";

const TAG_SIZE = 24;
const TTL = 300;

const querystring = {
  type: "object",
  properties: {
    skip: { type: "integer", default: 0, minimum: 0, maximum: 10000 },
    limit: { type: "integer", default: 20, minimum: 1, maximum: 100 },
  },
};

function serve() {
  const text = readFileSync(process.env.BENCH_STATEMENT, "utf8");
  const redis = new Redis(process.env.BENCH_REDIS);
  const database = new pg.Pool({ max: 5 });
  const app = Fastify({ logger: false, keepAliveTimeout: 75000 });

  async function fill(key, limit, skip) {
    const result = await database.query({ name: "feeds", text, values: [limit, skip], rowMode: "array" });
    const body = Buffer.from(result.rows[0][0]);
    const digest = createHash("sha256").update(body).digest().subarray(0, 16).toString("base64url");
    const page = Buffer.concat([Buffer.from(`"${digest}"`), body]);
    await redis.set(key, page, "EX", TTL);
    return page;
  }

  app.get("/feeds", { schema: { querystring } }, async (request, reply) => {
    const { skip, limit } = request.query;
    const key = `fastify:feeds:${skip}:${limit}`;
    const page = (await redis.getBuffer(key)) ?? (await fill(key, limit, skip));
    const tag = page.toString("latin1", 0, TAG_SIZE);
    reply.header("etag", tag).header("cache-control", "no-cache");
    if (request.headers["if-none-match"] === tag) return reply.code(304).send();
    return reply.type("application/json").send(page.subarray(TAG_SIZE));
  });

  const path = process.env.BENCH_SOCKET;
  app.listen({ path }, (problem) => {
    if (problem) throw problem;
    chmodSync(path, 0o666);
  });
  process.on("disconnect", () => process.exit());
}

if (cluster.isPrimary) {
  for (let count = Number(process.env.BENCH_PROCESSES); count > 0; count--) cluster.fork();
} else {
  serve();
}
