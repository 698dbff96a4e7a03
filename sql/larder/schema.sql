-- The schema `larder`: where the triggers of `larder install` leave word of what changed, for larderd to take.
--
-- `larder install` runs this text, once, in the transaction that makes the triggers. Functions here that others' writes
-- run have every name qualified, for they run with their owner's rights under whatever search_path the writer has.

CREATE SCHEMA larder;
COMMENT ON SCHEMA larder IS 'Made by "larder install", taken away by "larder install --remove".';

CREATE TABLE larder.meta (
    version integer NOT NULL,
    daemon  name -- the role given with --to
);

-- What there are triggers for. `larder check` and the responder look here, as whatever role.
CREATE TABLE larder.watch (
    schema  text   NOT NULL,
    "table" text   NOT NULL,
    columns text[] NOT NULL,
    narrow  text,
    tag     text   PRIMARY KEY -- the bulk tag where it is narrowed
);

-- Tags of transactions, visible with their commit. UNLOGGED: after a crash the marker is gone too, and larderd strikes
-- everything. Writers insert at the right end of the index all at once; the lanes give them 16 right ends. Sixteen more
-- are for the writes of responders, which strike their tags themselves: larderd takes only those that stay there.
CREATE UNLOGGED TABLE larder.outbox (
    tag  text     NOT NULL, -- or several, a line each: what one trigger strikes is one row
    xid  xid8     NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    lane smallint NOT NULL DEFAULT ((pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.&) 15) OPERATOR(pg_catalog.+)
        CASE WHEN pg_catalog.current_setting('larder.struck', true) OPERATOR(pg_catalog.<>) '' THEN 16 ELSE 0 END)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000, vacuum_truncate = off);
CREATE INDEX outbox_lane_xid ON larder.outbox (lane, xid);

-- One row. Without it the outbox was lost (a crash, a failover, a fresh install): everything is to be struck.
CREATE UNLOGGED TABLE larder.marker (
    one  boolean     PRIMARY KEY DEFAULT true CHECK (one),
    made timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- 2: larderd sleeps, writers wake it. 1: it polls. A sequence, for its value counts at once and in no transaction.
CREATE SEQUENCE larder.asleep MINVALUE 1 MAXVALUE 2;
SELECT pg_catalog.setval('larder.asleep', 1);

-- The definitions as larder.changed_definitions() last saw them.
CREATE TABLE larder.definition (
    name  text PRIMARY KEY, -- of a watched table; '*': all views and functions, and the roles
    print text NOT NULL
);

-- The children by inheritance that the install knew of: those that routes read have watches, and triggers, of their own.
CREATE TABLE larder.known (
    child text PRIMARY KEY
);

-- The triggers as the install left them: when they fire, and the columns they go by, in the table's order. All by name, so
-- that it is as true in a database that was restored from a dump.
CREATE TABLE larder.made_trigger (
    schema  text   NOT NULL,
    "table" text   NOT NULL,
    name    text   NOT NULL,
    enabled "char" NOT NULL,
    columns text[] NOT NULL,
    PRIMARY KEY (schema, "table", name)
);

-- NOTIFY is forbidden in transactions that are prepared; where there may be such, larderd has to poll.
CREATE FUNCTION larder.wake() RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
    IF pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0' THEN
        PERFORM pg_catalog.pg_notify('larder', '');
    END IF;
END
$function$;

-- What a responder's transaction struck so far is its setting larder.struck, which SHOW reads for less than any query:
-- '0' at its beginning (elsewhere it is empty), then its number and the tags, a line each. An empty line says that there
-- are more than it holds. A savepoint takes back what it takes back of the outbox. `noted` is the setting as it is, and
-- it is given back as it will be. One expression, so that plpgsql runs it without a call.
CREATE FUNCTION larder.note(noted pg_catalog.text, tags pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql AS $function$
    SELECT pg_catalog.set_config('larder.struck', CASE
        WHEN noted OPERATOR(pg_catalog.=) '0' THEN pg_catalog.pg_current_xact_id()::pg_catalog.text
        WHEN pg_catalog.octet_length(noted) OPERATOR(pg_catalog.>) 16000
            THEN pg_catalog.split_part(noted, E'\n', 1) OPERATOR(pg_catalog.||) E'\n'
        ELSE noted
    END OPERATOR(pg_catalog.||) E'\n' OPERATOR(pg_catalog.||) tags, true)
$function$;

-- The tags are the trigger's arguments. A responder's write need not wake larderd.
CREATE FUNCTION larder.strike() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $function$
DECLARE
    noted pg_catalog.text := pg_catalog.current_setting('larder.struck', true);
    tags  pg_catalog.text := pg_catalog.array_to_string(TG_ARGV, E'\n');
BEGIN
    INSERT INTO larder.outbox (tag) VALUES (tags);
    IF noted OPERATOR(pg_catalog.<>) '' THEN
        noted := larder.note(noted, tags);
    ELSIF pg_catalog.pg_sequence_last_value('larder.asleep') OPERATOR(pg_catalog.=) 2 THEN
        PERFORM larder.wake();
    END IF;
    RETURN NULL;
END
$function$;

-- The same for triggers of the module (larder_ring.strike), where the ring is not to hold the tags: in a responder's
-- transaction, beside transactions that may be prepared, or when it is half full.
CREATE FUNCTION larder.put(tags pg_catalog.text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $function$
DECLARE
    noted pg_catalog.text := pg_catalog.current_setting('larder.struck', true);
BEGIN
    INSERT INTO larder.outbox (tag) VALUES (tags);
    IF noted OPERATOR(pg_catalog.<>) '' THEN
        noted := larder.note(noted, tags);
    ELSIF pg_catalog.pg_sequence_last_value('larder.asleep') OPERATOR(pg_catalog.=) 2 THEN
        PERFORM larder.wake();
    END IF;
END
$function$;

-- The tags of a responder's transaction, a line each, where its setting does not hold them all. Null: larderd has them.
CREATE FUNCTION larder.struck(number pg_catalog.xid8) RETURNS pg_catalog.text LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    RETURN (SELECT string_agg(DISTINCT line, E'\n')
            FROM larder.outbox AS o CROSS JOIN LATERAL unnest(string_to_array(o.tag, E'\n')) AS line
            WHERE o.lane = ANY ('{16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31}'::int2[]) AND o.xid = number);
END
$function$;

-- The responder has struck the tags of these transactions. What larderd has in hand is left to it.
CREATE FUNCTION larder.bumped(numbers pg_catalog.xid8[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    DELETE FROM larder.outbox AS o WHERE o.ctid = ANY (ARRAY(
        SELECT p.ctid FROM larder.outbox AS p
        WHERE p.lane = ANY ('{16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31}'::int2[]) AND p.xid = ANY (numbers)
        FOR UPDATE SKIP LOCKED));
END
$function$;

-- What is not on its way but kept: a schema of its own, which outlives this one's next version. Requests that carried an
-- Idempotency-Key, with their answers.
DO $block$
BEGIN
    -- Its owner could put a trigger on the table, which the functions below would run with their owner's rights.
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
               WHERE n.nspname = 'larder_kept' AND r.rolname <> CURRENT_USER
                   AND NOT (r.rolsuper AND pg_catalog.pg_has_role(r.oid, 'USAGE'))) THEN
        RAISE insufficient_privilege USING MESSAGE =
            'the schema larder_kept belongs to another role: install as that role, or drop it';
    END IF;
END
$block$;
CREATE SCHEMA IF NOT EXISTS larder_kept;
CREATE TABLE IF NOT EXISTS larder_kept.request (
    key  bytea       PRIMARY KEY, -- of principal, route and the client's key
    body bytea       NOT NULL,    -- of what the request says
    answer bytea     NOT NULL,
    made timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX IF NOT EXISTS request_made ON larder_kept.request (made);

-- Begins a request that is to be done once, in its transaction. 'new': nobody has it or will have it before the end of
-- the transaction. 'before': `kept` is the first answer. 'other': the key came with another body. 'busy': in work.
CREATE FUNCTION larder.once(wanted pg_catalog.bytea, said pg_catalog.bytea, lock pg_catalog.int8,
    OUT outcome pg_catalog.text, OUT kept pg_catalog.bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    found_body bytea;
BEGIN
    FOR try IN 1 .. 2 LOOP
        SELECT r.body, r.answer INTO found_body, kept FROM larder_kept.request AS r WHERE r.key = wanted;
        IF FOUND THEN
            outcome := 'before';
            IF found_body <> said THEN
                outcome := 'other';
                kept := NULL;
            END IF;
            RETURN;
        END IF;
        -- Looked at again under the lock: who had it may have ended just now.
        IF try = 1 AND NOT pg_try_advisory_xact_lock(lock) THEN
            outcome := 'busy';
            RETURN;
        END IF;
    END LOOP;
    outcome := 'new';
END
$function$;

-- Ends it: the answer is kept if the transaction commits.
CREATE FUNCTION larder.once_done(wanted pg_catalog.bytea, said pg_catalog.bytea, answered pg_catalog.bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    INSERT INTO larder_kept.request (key, body, answer) VALUES (wanted, said, answered);
END
$function$;

-- Forgets some of the requests that are older than so many seconds; says how many.
CREATE FUNCTION larder.once_forget(seconds pg_catalog.float8) RETURNS pg_catalog.int8
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM larder_kept.request AS r WHERE r.ctid = ANY (ARRAY(
        SELECT o.ctid FROM larder_kept.request AS o WHERE o.made < clock_timestamp() - make_interval(secs => seconds)
        ORDER BY o.made LIMIT 5000 FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$function$;

-- Jobs that were done, with their answers: so one that is delivered again is not run again.
CREATE TABLE IF NOT EXISTS larder_kept.job (
    key    bytea       PRIMARY KEY,
    record bytea       NOT NULL,
    made   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX IF NOT EXISTS job_made ON larder_kept.job (made);

-- Begins a transaction of jobs: which of them, by their places from 1, were done before, and what was recorded then.
-- Nobody else has any of them in work before the end of the transaction: they are waited for, in one order.
CREATE FUNCTION larder.jobs_begin(keys pg_catalog.bytea[], OUT place pg_catalog.int8, OUT record pg_catalog.bytea)
RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $function$
BEGIN
    PERFORM pg_advisory_xact_lock(l.number) FROM (
        SELECT hashtextextended(encode(k, 'escape'), 8241) AS number FROM unnest(keys) AS k ORDER BY 1 OFFSET 0) AS l;
    RETURN QUERY
        SELECT k.place, j.record FROM unnest(keys) WITH ORDINALITY AS k (key, place)
        JOIN larder_kept.job AS j ON j.key = k.key;
END
$function$;

-- Ends it. Where an old snapshot hid that one was done before, this transaction can't commit (unique_violation).
CREATE FUNCTION larder.jobs_done(keys pg_catalog.bytea[], records pg_catalog.bytea[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    INSERT INTO larder_kept.job (key, record)
    SELECT d.key, d.record FROM unnest(keys, records) AS d (key, record) ORDER BY d.key;
END
$function$;

-- Forgets some of the jobs that were done longer ago than so many seconds; says how many.
CREATE FUNCTION larder.jobs_forget(seconds pg_catalog.float8) RETURNS pg_catalog.int8
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM larder_kept.job AS j WHERE j.ctid = ANY (ARRAY(
        SELECT o.ctid FROM larder_kept.job AS o WHERE o.made < clock_timestamp() - make_interval(secs => seconds)
        ORDER BY o.made LIMIT 5000 FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$function$;

-- Leaves tags for larderd, as the triggers do. Who calls it has them, so of a responder's transaction only the number is
-- noted.
CREATE FUNCTION larder.leave(tags pg_catalog.text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    noted text := current_setting('larder.struck', true);
BEGIN
    INSERT INTO larder.outbox (tag) SELECT DISTINCT t FROM unnest(tags) AS t;
    IF noted = '0' THEN
        PERFORM set_config('larder.struck', pg_current_xact_id()::text, true);
    ELSIF coalesce(noted, '') = '' AND pg_sequence_last_value('larder.asleep') = 2 THEN
        PERFORM larder.wake();
    END IF;
END
$function$;

-- How far each stream of writes that wait (@behind) is made. Stands in the transaction of what it counts, so a write that
-- comes again is known, whatever became of the queue or of who made it.
CREATE TABLE IF NOT EXISTS larder_kept.behind (
    queue text NOT NULL, -- which Redis: numbers of another, or of one that was emptied, mean nothing to this one
    route text NOT NULL,
    last  text NOT NULL, -- the number in the stream of the last write made, "milliseconds-sequence"
    moved timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (queue, route)
);

-- Begins a batch: how far its stream is made, held until the end of the transaction. NULL: a peer is at it.
CREATE FUNCTION larder.behind_begin(wanted_queue pg_catalog.text, wanted_route pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    found_last text;
BEGIN
    INSERT INTO larder_kept.behind (queue, route, last)
    SELECT wanted_queue, wanted_route, '0-0'
    WHERE NOT EXISTS (SELECT FROM larder_kept.behind AS b WHERE b.queue = wanted_queue AND b.route = wanted_route)
    ON CONFLICT DO NOTHING;
    SELECT b.last INTO found_last FROM larder_kept.behind AS b
    WHERE b.queue = wanted_queue AND b.route = wanted_route FOR UPDATE SKIP LOCKED;
    RETURN found_last;
END
$function$;

-- Ends it: all up to this number are made if the transaction commits.
CREATE FUNCTION larder.behind_done(wanted_queue pg_catalog.text, wanted_route pg_catalog.text, reached pg_catalog.text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    UPDATE larder_kept.behind AS b SET last = reached, moved = clock_timestamp()
    WHERE b.queue = wanted_queue AND b.route = wanted_route;
END
$function$;

-- For the functions in the WHEN of a narrowed watch's triggers, whose settings end in `key`: null where neither of the two
-- values is new to the transaction, otherwise what is remembered of it then. Settings made here end with it, and are undone
-- with a savepoint, as the rows in the outbox are.
-- v: ',' after the first row, whose values are not remembered (at worst they are struck twice); then the values' hashes,
-- 33 characters each; '*' past 100 of them, and then it is not called. m: the values of the row before.
CREATE FUNCTION larder.fresh(key pg_catalog.text, before pg_catalog.text, after pg_catalog.text)
RETURNS pg_catalog.text LANGUAGE plpgsql AS $function$
DECLARE
    seen pg_catalog.text := pg_catalog.current_setting('larder.v' OPERATOR(pg_catalog.||) key, true);
    memo pg_catalog.text;
    old  pg_catalog.text;
    new  pg_catalog.text;
    more pg_catalog.text := '';
BEGIN
    memo := pg_catalog.quote_nullable(before)
        OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) pg_catalog.quote_nullable(after);
    IF pg_catalog.current_setting('larder.m' OPERATOR(pg_catalog.||) key, true) OPERATOR(pg_catalog.=) memo THEN
        RETURN NULL;
    END IF;
    IF pg_catalog.octet_length(memo) OPERATOR(pg_catalog.<=) 200 THEN
        PERFORM pg_catalog.set_config('larder.m' OPERATOR(pg_catalog.||) key, memo, true);
    END IF;
    old := coalesce(pg_catalog.md5(before), 'null') OPERATOR(pg_catalog.||) ',';
    new := coalesce(pg_catalog.md5(after), 'null') OPERATOR(pg_catalog.||) ',';
    IF pg_catalog.strpos(seen, old) OPERATOR(pg_catalog.=) 0 THEN
        more := old;
    END IF;
    IF old OPERATOR(pg_catalog.<>) new AND pg_catalog.strpos(seen, new) OPERATOR(pg_catalog.=) 0 THEN
        more := more OPERATOR(pg_catalog.||) new;
    END IF;
    IF more OPERATOR(pg_catalog.=) '' THEN
        RETURN NULL;
    END IF;
    seen := seen OPERATOR(pg_catalog.||) more;
    IF pg_catalog.octet_length(seen) OPERATOR(pg_catalog.>) 3300 THEN
        seen := '*';
    END IF;
    RETURN pg_catalog.set_config('larder.v' OPERATOR(pg_catalog.||) key, seen, true);
END
$function$;

-- What can change without a row trigger's knowing, as a text for each watched table (with its partitions and children)
-- and one, '*', for all views and functions, types, schemas and roles: any change of a definition changes it, TRUNCATE
-- and REFRESH too. A table's has three parts, for what was changed and changed back is as it was but for its row's number:
-- see larder.differ. A concurrent REFRESH shows in the statistics alone, which its session may keep back for some seconds.
-- In plpgsql because that keeps the plan for the next look: to make it takes longer than to look.
CREATE FUNCTION larder.fingerprints() RETURNS TABLE (name text, print text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
#variable_conflict use_column
DECLARE
    here oid := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
    settings text;
BEGIN
    -- What sessions that are opened from now on find where a name has no schema, and how they write values. Some hosts
    -- keep these from everybody. SET ROLE brings no settings, so a role counts only if it can open a session here.
    IF has_table_privilege('pg_db_role_setting', 'SELECT') THEN
        settings := (
            SELECT md5(string_agg(concat_ws(' ', s.setdatabase, s.setrole, s.setconfig), ','
                ORDER BY s.setdatabase, s.setrole))
            FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole
            WHERE s.setdatabase IN (0, here)
                AND (s.setrole = 0 OR (r.rolcanlogin AND has_database_privilege(r.oid, here, 'CONNECT'))));
    END IF;
    RETURN QUERY
    WITH RECURSIVE watched AS (
        SELECT DISTINCT w.schema, w."table", format('%I.%I', w.schema, w."table") AS name FROM larder.watch AS w
    ), member AS (
        SELECT w.name, c.oid, '' AS bond
        FROM watched AS w
        JOIN pg_namespace AS n ON n.nspname = w.schema
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
        UNION
        -- A partition that is being detached concurrently is read no more, but is there as long as anybody reads it.
        SELECT m.name, i.inhrelid, i.xmin::text FROM member AS m JOIN pg_inherits AS i ON i.inhparent = m.oid
    ), print AS (
        SELECT m.name, concat(md5(string_agg(concat_ws(' ', c.oid, m.bond, c.relname, c.relnamespace, c.relowner,
            c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relpartbound,
            -- A TRUNCATE that a trigger tells of is no news here.
            CASE WHEN NOT EXISTS (
                SELECT FROM pg_trigger AS t JOIN pg_proc AS f ON f.oid = t.tgfoid
                WHERE t.tgrelid = c.oid AND t.tgtype & 32 <> 0 AND f.pronamespace = 'larder'::regnamespace
                    AND f.proname = 'strike')
                THEN c.relfilenode END,
            (SELECT string_agg(a.xmin::text, ' ' ORDER BY a.attnum) FROM pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0),
            (SELECT string_agg(t.xmin::text, ' ' ORDER BY t.oid) FROM pg_trigger AS t WHERE t.tgrelid = c.oid),
            (SELECT string_agg(p.xmin::text, ' ' ORDER BY p.oid) FROM pg_policy AS p WHERE p.polrelid = c.oid),
            CASE WHEN c.relkind = 'm'
                THEN pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_deleted(c.oid) END),
            ',' ORDER BY c.oid, m.bond)),
            ' ', md5(string_agg(c.relfilenode::text, ',' ORDER BY c.oid, m.bond)),
            ' ', md5(string_agg(c.xmin::text, ',' ORDER BY c.oid, m.bond))) AS print
        FROM member AS m JOIN pg_class AS c ON c.oid = m.oid
        GROUP BY m.name
    )
    SELECT w.name, coalesce(p.print, 'absent') FROM watched AS w LEFT JOIN print AS p USING (name)
    UNION ALL
    SELECT '*', concat(
        -- The rights on a column of a view stand with the column alone.
        (SELECT md5(string_agg(concat(r.xmin, CASE WHEN c.relkind = 'v' THEN concat(c.xmin, (
                    SELECT string_agg(concat(a.attnum, a.attacl), ' ' ORDER BY a.attnum) FROM pg_attribute AS a
                    WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)) END), ' ' ORDER BY r.oid))
         FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
         WHERE c.oid >= 16384 AND c.relkind IN ('v', 'm') AND c.relpersistence <> 't'),
        -- PostgreSQL's own functions don't change, but who may call them does.
        (SELECT md5(string_agg(concat_ws(' ', p.xmin, p.oid), ',' ORDER BY p.oid))
         FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE (p.oid >= 16384 OR p.proacl IS NOT NULL) AND n.nspname <> 'larder' AND n.nspname !~ '^pg_temp_'),
        (SELECT md5(string_agg(concat_ws(' ', n.oid, n.xmin), ',' ORDER BY n.oid))
         FROM pg_namespace AS n
         WHERE n.nspname NOT IN ('larder', 'larder_kept') AND n.nspname !~ '^pg_(temp|toast_temp)_'),
        -- Who is pg_database_owner; and another database that was put in its place may be the copy of an earlier state.
        (SELECT concat_ws(' ', d.oid, d.xmin, '') FROM pg_database AS d WHERE d.oid = here),
        -- What a role may, and what policies let it see, is also a matter of what it is a member of.
        (SELECT md5(string_agg(m::text, ' ' ORDER BY m.roleid, m.member, m.grantor)) FROM pg_auth_members AS m),
        (SELECT md5(string_agg(concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolbypassrls), ','
             ORDER BY r.oid)) FROM pg_roles AS r),
        settings,
        -- Not the types that come and go with each table.
        (SELECT md5(string_agg(t.xmin::text, ' ' ORDER BY t.oid))
         FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
         WHERE t.oid >= 16384 AND t.typtype <> 'c' AND t.typcategory <> 'A' AND n.nspname !~ '^pg_temp_'),
        (SELECT md5(string_agg(e.xmin::text, ' ' ORDER BY e.oid)) FROM pg_enum AS e),
        (SELECT md5(string_agg(concat(c.xmin, a.xmin), ' ' ORDER BY c.oid, a.attnum))
         FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
         WHERE c.relkind = 'c' AND c.oid >= 16384 AND c.relpersistence <> 't'),
        (SELECT md5(string_agg(c.xmin::text, ' ' ORDER BY c.oid)) FROM pg_constraint AS c
         WHERE c.conrelid = 0 AND c.oid >= 16384),
        (SELECT md5(string_agg(concat_ws(' ', made.xmin, made.oid), ',' ORDER BY made.oid, made.xmin::text))
         FROM (SELECT c.xmin, c.oid FROM pg_cast AS c WHERE c.oid >= 16384 UNION ALL
               SELECT o.xmin, o.oid FROM pg_operator AS o WHERE o.oid >= 16384 UNION ALL
               SELECT c.xmin, c.oid FROM pg_collation AS c WHERE c.oid >= 16384 UNION ALL
               SELECT d.xmin, d.oid FROM pg_ts_dict AS d WHERE d.oid >= 16384 UNION ALL
               SELECT c.xmin, c.oid FROM pg_ts_config AS c WHERE c.oid >= 16384 UNION ALL
               SELECT m.xmin, m.mapcfg FROM pg_ts_config_map AS m WHERE m.mapcfg >= 16384) AS made));
END
$function$;

-- Those who inherit from the watched tables, at any depth, and are no partitions.
CREATE FUNCTION larder.children() RETURNS TABLE (name text, child text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE member AS (
        SELECT format('%I.%I', w.schema, w."table") AS name, c.oid
        FROM larder.watch AS w
        JOIN pg_namespace AS n ON n.nspname = w.schema
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
        WHERE c.relkind = 'r'
        UNION
        SELECT m.name, i.inhrelid FROM member AS m JOIN pg_inherits AS i ON i.inhparent = m.oid
    )
    SELECT m.name, format('%I.%I', n.nspname, c.relname)
    FROM member AS m
    JOIN pg_inherits AS i ON i.inhrelid = m.oid
    JOIN pg_class AS c ON c.oid = m.oid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE m.name <> format('%I.%I', n.nspname, c.relname);
END
$function$;

-- The triggers as they are, with their clones on partitions, and whether each still does what it was made for: it may have
-- been switched off, or on for less than replicated changes; and one goes by its columns' places, not by their names, so
-- that another column may have the name by now. A root is one that was made; clones have its name.
CREATE FUNCTION larder.triggers() RETURNS TABLE (relation oid, name text, root boolean, by_column boolean, enabled "char",
    columns text[], sound boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT t.relation, t.name, t.root, t.by_column, t.enabled, t.columns,
        t.enabled IN ('A', coalesce(m.enabled, 'O')) AND (NOT t.root OR t.columns = coalesce(m.columns, t.columns))
    FROM (SELECT t.tgrelid AS relation, t.tgname::text AS name, t.tgparentid = 0 AS root,
              cardinality(t.tgattr::int2[]) > 0 AS by_column, t.tgenabled AS enabled,
              CASE WHEN t.tgparentid = 0 AND t.tgqual IS NOT NULL THEN array(
                  SELECT a.attname::text FROM pg_attribute AS a
                  WHERE a.attrelid = t.tgrelid AND a.attnum IN (
                      SELECT d.refobjsubid FROM pg_depend AS d
                      WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.tgrelid)
                  ORDER BY a.attnum)
              -- The module's: its function goes by the names, UPDATE OF does not.
              WHEN t.tgparentid = 0 AND cardinality(t.tgattr::int2[]) > 0 THEN array(
                  SELECT a.attname::text FROM pg_attribute AS a
                  WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::int2[])
                  ORDER BY a.attnum) ELSE '{}' END AS columns
          FROM pg_trigger AS t
          JOIN pg_proc AS p ON p.oid = t.tgfoid
          JOIN pg_namespace AS n ON n.oid = p.pronamespace
          WHERE (n.nspname = 'larder'
                 OR (n.nspname = 'larder_ring' AND p.proname = 'strike' AND p.prolang = 13))
              AND t.tgname LIKE 'larder\_%' OFFSET 0) AS t
    LEFT JOIN larder.made_trigger AS m ON m.name = t.name;
END
$function$;

-- Watched tables in which something would not be heard of a change: triggers are missing, or no longer what they were; a
-- child came after the install, or a BEFORE trigger that may change columns which an UPDATE doesn't name (and then UPDATE
-- OF, as the triggers have it where there is none, won't do).
CREATE FUNCTION larder.unheard() RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    RETURN QUERY
    WITH own AS MATERIALIZED (
        SELECT * FROM larder.triggers()
    )
    SELECT format('%I.%I', w.schema, w."table")
    FROM (SELECT DISTINCT w.schema, w."table" FROM larder.watch AS w) AS w
    JOIN pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = w."table"
    WHERE c.relkind IN ('r', 'p') AND c.oid NOT IN (SELECT o.relation FROM own AS o)
    UNION
    SELECT format('%I.%I', m.schema, m."table")
    FROM larder.made_trigger AS m
    JOIN pg_namespace AS n ON n.nspname = m.schema
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = m."table"
    WHERE NOT EXISTS (SELECT FROM own AS o WHERE o.relation = c.oid AND o.name = m.name)
    UNION
    SELECT c.name FROM larder.children() AS c WHERE c.child NOT IN (SELECT k.child FROM larder.known AS k)
    UNION
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM (SELECT o.relation FROM own AS o WHERE NOT o.sound
          UNION
          SELECT o.relation FROM own AS o JOIN pg_trigger AS t ON t.tgrelid = o.relation
          WHERE o.by_column AND t.tgtype & 19 = 19 AND NOT t.tgisinternal) AS o
    CROSS JOIN LATERAL (SELECT o.relation UNION SELECT a.relid FROM pg_partition_ancestors(o.relation) AS a) AS up
    JOIN pg_class AS c ON c.oid = up.relation
    JOIN pg_namespace AS n ON n.oid = c.relnamespace;
END
$function$;

-- Whether a name's fingerprint tells of a change. That of a table's row alone may be a TRUNCATE, as its file shows.
CREATE FUNCTION larder.differ(name text, was text, becomes text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT CASE WHEN was IS NULL OR name = '*' THEN was IS DISTINCT FROM becomes
        ELSE split_part(was, ' ', 1) <> split_part(becomes, ' ', 1)
            OR (split_part(was, ' ', 2) = split_part(becomes, ' ', 2) AND was <> becomes) END
$function$;

-- The names whose fingerprint is not the one that larder.changed_definitions() saw last.
CREATE FUNCTION larder.moved() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT f.name FROM larder.fingerprints() AS f LEFT JOIN larder.definition AS d USING (name)
    WHERE larder.differ(f.name, d.print, f.print)
$function$;

-- The tags of the watched tables of these names; '*' is its own.
CREATE FUNCTION larder.tags_of(names text[]) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT w.tag FROM larder.watch AS w WHERE format('%I.%I', w.schema, w."table") = ANY (names)
    UNION ALL
    SELECT '*' WHERE '*' = ANY (names)
$function$;

-- A transaction that was prepared before the outbox was lost can still commit: until it has, all is struck.
CREATE FUNCTION larder.prepared_before_crash() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT EXISTS (SELECT FROM pg_prepared_xacts AS p, larder.marker AS m
                   WHERE p.database = current_database() AND p.prepared < m.made)
$function$;

-- For larderd, each second: the tags of what changed without a trigger's knowing since the last call that was
-- committed, so they are to be struck before the commit. Of the unheard, which may change at any time, they come each
-- time. Writes nothing where no definition changed.
CREATE FUNCTION larder.changed_definitions() RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    still text := larder.prepared_before_crash()::text;
BEGIN
    -- One statement, so that what is saved is what was compared.
    RETURN QUERY
        WITH seen AS MATERIALIZED (
            SELECT f.name, f.print, larder.differ(f.name, d.print, f.print) AS moved
            FROM larder.fingerprints() AS f LEFT JOIN larder.definition AS d USING (name)
            WHERE d.print IS DISTINCT FROM f.print
        ), was AS MATERIALIZED (
            SELECT array_agg(s.name) FILTER (WHERE s.moved) AS moved, EXISTS (
                       SELECT FROM larder.definition AS d WHERE d.name = 'prepared' AND d.print = 'true')::text AS prepared
            FROM seen AS s
        ), saved AS (
            INSERT INTO larder.definition
            SELECT s.name, s.print FROM seen AS s
            UNION ALL
            SELECT 'prepared', still FROM was WHERE was.prepared <> still
            ON CONFLICT (name) DO UPDATE SET print = excluded.print
        )
        SELECT larder.tags_of(was.moved || array(SELECT larder.unheard())) FROM was
        UNION
        SELECT 'larder:definitions' FROM was WHERE was.moved IS NOT NULL
        UNION
        SELECT '*' FROM was WHERE 'true' IN (was.prepared, still);
    DELETE FROM larder.definition AS d
    WHERE d.name NOT IN ('*', 'prepared') AND NOT EXISTS (
        SELECT FROM larder.watch AS w WHERE format('%I.%I', w.schema, w."table") = d.name);
END
$function$;

-- Ends an install: what is there now is what was meant, and what the definitions changed is struck. A function of whoever
-- is a member of the outbox' owner would fail everybody's writes once that is over.
CREATE FUNCTION larder.know() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT p.oid::regprocedure AS called, c.relowner::regrole AS owner
        FROM pg_proc AS p JOIN pg_class AS c ON c.oid = 'larder.outbox'::regclass
        WHERE p.pronamespace = 'larder'::regnamespace AND p.proname ~ '^value_[0-9a-f]{12}$' AND p.proowner <> c.relowner
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO %s', given.called, given.owner);
    END LOOP;
    DELETE FROM larder.made_trigger;
    INSERT INTO larder.made_trigger
    SELECT n.nspname, c.relname, t.name, t.enabled, t.columns
    FROM larder.triggers() AS t JOIN pg_class AS c ON c.oid = t.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE t.root;
    DELETE FROM larder.known;
    INSERT INTO larder.known SELECT DISTINCT c.child FROM larder.children() AS c;
    INSERT INTO larder.outbox (tag) SELECT larder.changed_definitions();
END
$function$;

-- Where a superuser installs: the same at once, in the transaction of the DDL. State is left to the function above,
-- so that two transactions with DDL don't wait for each other. Names are looked up in the catalogs: to_regclass fails where
-- the owner may not use the schema, and with it everybody's DDL.
CREATE FUNCTION larder.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    noted text := current_setting('larder.struck', true);
    tags  text;
BEGIN
    IF tg_tag LIKE 'CREATE %' AND NOT EXISTS (
        SELECT FROM pg_event_trigger_ddl_commands() AS c WHERE c.schema_name IS DISTINCT FROM 'pg_temp') THEN
        RETURN;
    END IF;
    WITH moved AS MATERIALIZED (
        SELECT m AS name FROM larder.moved() AS m
    ), put AS (
        INSERT INTO larder.outbox (tag)
        SELECT larder.tags_of(array(SELECT m.name FROM moved AS m))
        UNION
        SELECT 'larder:definitions' FROM moved
        UNION
        SELECT w.tag
        FROM larder.watch AS w
        JOIN pg_namespace AS n ON n.nspname = w.schema
        JOIN pg_class AS k ON k.relnamespace = n.oid AND k.relname = w."table"
        JOIN pg_event_trigger_ddl_commands() AS c ON c.objid = k.oid AND c.command_tag LIKE 'REFRESH %'
        RETURNING tag
    )
    SELECT string_agg(put.tag, E'\n') INTO tags FROM put;
    IF tags IS NULL THEN
        RETURN;
    END IF;
    IF noted <> '' THEN
        noted := larder.note(noted, tags);
    ELSIF pg_sequence_last_value('larder.asleep') = 2 THEN
        PERFORM larder.wake();
    END IF;
END
$function$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA larder FROM PUBLIC;
GRANT USAGE ON SCHEMA larder TO PUBLIC;
GRANT SELECT ON larder.watch, larder.meta TO PUBLIC;
