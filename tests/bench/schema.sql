-- What the bench's own routes read, beside the social pack.
CREATE SCHEMA bench;

-- Rows that are written one by one while their answers are watched.
CREATE TABLE bench.versions (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
INSERT INTO bench.versions SELECT generate_series(1, 10000);

-- Two tables that routes read as a whole: an entry of any row carries the table's tag.
CREATE TABLE bench.many (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
INSERT INTO bench.many SELECT generate_series(1, 100000);
CREATE TABLE bench.single (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
INSERT INTO bench.single VALUES (1);

-- What slow statements read.
CREATE TABLE bench.pages (id int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
INSERT INTO bench.pages SELECT generate_series(1, 10000);

-- What jobs write.
CREATE TABLE bench.jobs (number int NOT NULL);

-- The study app: users with contents, when each is to be reviewed, and what came of it.
CREATE TABLE bench.contents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id int NOT NULL,
    category text NOT NULL,
    title text NOT NULL,
    body text NOT NULL
);
CREATE TABLE bench.schedules (
    content_id bigint PRIMARY KEY REFERENCES bench.contents,
    user_id int NOT NULL,
    category text NOT NULL, -- the content's
    due date NOT NULL,
    step int NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true
);
CREATE TABLE bench.histories (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id int NOT NULL,
    content_id bigint NOT NULL,
    result int NOT NULL,
    reviewed date NOT NULL
);

INSERT INTO bench.contents (user_id, category, title, body)
SELECT 1 + n / 30, (ARRAY['languages', 'history', 'physics'])[1 + n % 3], 'Card ' || n, repeat('What to remember. ', 6)
FROM generate_series(0, 59999) AS n;
INSERT INTO bench.schedules (content_id, user_id, category, due)
SELECT id, user_id, category, date '2026-01-01' + (id % 12)::int FROM bench.contents;
INSERT INTO bench.histories (user_id, content_id, result, reviewed)
SELECT user_id, id, (id * 7 + turn) % 4, date '2025-12-01' + turn
FROM bench.contents, generate_series(1, 10) AS turn;
CREATE INDEX ON bench.contents (user_id, id DESC);
CREATE INDEX ON bench.schedules (user_id, due) WHERE active;
CREATE INDEX ON bench.histories (user_id);

-- What downloads read.
CREATE TABLE bench.orders (
    id int PRIMARY KEY,
    customer text NOT NULL,
    email text NOT NULL,
    quantity int NOT NULL,
    amount numeric(10, 2) NOT NULL,
    due date NOT NULL,
    created timestamp NOT NULL,
    discount int
);
INSERT INTO bench.orders
SELECT n, 'Customer ' || n % 5000, 'customer' || n % 5000 || '@example.org', n % 97, (n % 30000) * 0.25,
       date '2026-01-01' + n % 365, timestamp '2026-01-01' + n * interval '1 minute', nullif(n % 3, 0)
FROM generate_series(1, 100000) AS n;
