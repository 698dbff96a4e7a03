-- What CREATE EXTENSION larder makes: the functions of Larder's module for PostgreSQL, in the schema larder_ring.
-- Triggers that `larder install` makes with it leave what changed in a ring in memory, and not in the table larder.outbox.

-- The trigger. Its one argument is the text of an array (PostgreSQL copies the arguments, one by one, for each statement):
-- watches, one after the other, each of them "rows" or "updates", what its tags begin with, how many columns it reads,
-- their names, by how many it is narrowed, their names.
CREATE FUNCTION larder_ring.strike() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'larder_strike';

-- Does the ring take anything: is the module in shared_preload_libraries, and no transaction ever prepared?
CREATE FUNCTION larder_ring.ready() RETURNS boolean LANGUAGE c AS 'MODULE_PATHNAME', 'larder_ready';

-- For larderd. Whoever may delete from larder.outbox may call them. `tags` has a line for each that is another; `taken` is
-- how many there were.
CREATE FUNCTION larder_ring.take(most integer, OUT tags text, OUT taken integer, OUT more boolean, OUT coming boolean,
    OUT held boolean, OUT lost boolean, OUT asleep boolean)
RETURNS record LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'larder_take';
CREATE FUNCTION larder_ring.asleep(asleep boolean) RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'larder_asleep';

-- A trigger of anybody's could strike everything without end; one that was made fires for everybody.
REVOKE ALL ON FUNCTION larder_ring.strike() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION larder_ring.strike() TO @extowner@;
-- Who restores a dump makes the extension, and is not who runs `larder install` there.
DO $block$
BEGIN
    IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 140000 THEN
        GRANT EXECUTE ON FUNCTION larder_ring.strike() TO pg_database_owner;
    END IF;
END
$block$;
-- Whatever default privileges its maker has.
GRANT EXECUTE ON FUNCTION larder_ring.ready(), larder_ring.take(integer), larder_ring.asleep(boolean) TO PUBLIC;
GRANT USAGE ON SCHEMA larder_ring TO PUBLIC;
