-- Greets whoever asks: a first route, to see that everything is in place. It reads no table.
-- @http GET /hello/{name}
-- @param name text maxlen=100
-- @result row
-- @cache ttl=60s
SELECT 'Hello, ' || :name || '!' AS greeting,
       now() AS asked_at
