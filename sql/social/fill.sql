-- Fills the empty tables of schema.sql; run by `load`, which sets :users and :feeds.
--
-- Every value comes from a hash of its row's number, never from random(), so each run makes the same rows.
-- Popularity is skewed as people's is: a few posts gather thousands of likes, most a handful. The early members post the
-- most and are followed the most. Nothing happens before its author joined or the post it belongs to was written.

SET LOCAL client_min_messages = warning;
SET LOCAL work_mem = '256MB';
SET LOCAL jit = off;

-- A number in [0,1) that looks random, the same for the same arguments.
CREATE FUNCTION pg_temp.unit(number bigint, salt bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE AS $$
    SELECT (hashint8extended(number, salt) & 4503599627370495) / 4503599627370496.0::double precision $$;

CREATE FUNCTION pg_temp.pick(words text[], number bigint, salt bigint) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$
    SELECT words[1 + floor(cardinality(words) * pg_temp.unit(number, salt))::int] $$;

-- The moment at a share (0 to 1) of the two years this network has existed.
CREATE FUNCTION pg_temp.moment(share double precision) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE AS $$
    SELECT '2023-07-01 00:00+00'::timestamptz + make_interval(secs => round(least(share, 1) * 63072000)) $$;

-- Members number n of all joined at this share of time; membership(share) is how many had joined by then.
CREATE FUNCTION pg_temp.joined(number bigint, members bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE AS $$
    SELECT power((number - 1) / members::double precision, 2) $$;

CREATE FUNCTION pg_temp.membership(share double precision, members bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE AS $$
    SELECT members * sqrt(share) $$;

CREATE TEMPORARY TABLE words ON COMMIT DROP AS SELECT
    '{Ada,Aiko,Amara,Anders,Anouk,Bela,Carmen,Chen,Clara,Daniel,David,Diego,Elif,Elena,Emeka,Emma,Farid,Fatima,Finn,
      Grace,Hana,Hugo,Ines,Ivan,Jana,Joao,Jonas,Julia,Kai,Kofi,Lars,Leila,Lena,Luca,Maria,Marta,Mateo,Maya,Mina,Nadia,
      Nils,Noor,Olga,Omar,Paul,Petra,Priya,Rafael,Rosa,Samir,Sara,Sofia,Tariq,Tomas,Uma,Vera,Wei,Yara,Yusuf,
      Zoe}'::text[] AS first_names,
    '{Abe,Adeyemi,Almeida,Andersson,Bauer,Becker,Bianchi,Castro,Costa,Dahl,Diaz,Dubois,Eriksen,Farouk,Fischer,Garcia,
      Gupta,Haddad,Hansen,Horvat,Ito,Jansen,Kaya,Keller,Khan,Kim,Kovacs,Kowalski,Kumar,Larsen,Lindqvist,Lopez,Martin,
      Meyer,Moreau,Mori,Nakamura,Nguyen,Novak,Okafor,Oliveira,Olsen,Park,Patel,Petrov,Popescu,Reyes,Ricci,Rossi,Sato,
      Schmidt,Silva,Singh,Suzuki,Tanaka,Torres,Varga,Weber,Yilmaz,Zhang}'::text[] AS last_names,
    '{Photographer,Baker,Trail runner,Teacher,Nurse,Illustrator,Gardener,Software developer,Cyclist,Cook,Librarian,
      Carpenter,Musician,Student,Translator,Beekeeper}'::text[] AS trades,
    '{Lisbon,Oslo,Nairobi,Kyoto,Montreal,Ghent,Accra,Seoul,Leipzig,Porto,Hanoi,Tallinn,Bogota,Pune,Cork,
      Wellington}'::text[] AS cities,
    '{loves long train rides,always with a notebook,learning to sail,mostly coffee,dog person,
      restoring an old bicycle,collects field recordings,two cats,looking for quiet places}'::text[] AS habits,
    '{Finally finished,Just started,Spent the whole morning on,Still thinking about,So proud of,
      Could not stop smiling at,A small update on,Back home with,Third attempt at,Today was all about,
      Sharing a few pictures of,Nobody told me how much I would enjoy}'::text[] AS openings,
    '{the new shelves,my first sourdough,the mountain trail,that old radio,our community garden,the night market,
      a watercolour of the harbour,the marathon plan,my grandmother''s soup recipe,the ferry crossing,a mended jacket,
      the little bookshop,this week''s harvest,the rooftop concert,the repaired bicycle,
      a letter from an old friend}'::text[] AS subjects,
    '{It took longer than planned and was worth every minute.,Next time I will bring a better map.,
      The light was perfect around six.,Any tips are welcome!,Thanks to everyone who helped.,
      I will post the details tomorrow.,Has anyone else tried this?,More soon.,
      "The neighbours came by, and we stayed until dark.",It rained and nobody minded.,
      Learned more than in a month of reading.,My hands hurt but I am happy.}'::text[] AS closings,
    '{So good!,Love this.,Where is that?,Congratulations!,I need to try this.,This made my day.,Beautiful light.,
      Can you share the recipe?,Same here last weekend.,Next time take me with you!,How long did it take?,
      Looks delicious.,Well done.,I had no idea you did this.,Saving this for later.,Wonderful.}'::text[] AS remarks,
    '{Greetings from the other side of town.,We should meet soon.,My brother would enjoy it too.,
      I tried it twice and failed both times.,Please post more of these.,
      Reminds me of our trip.}'::text[] AS remark_endings;

-- 3,600 pairs of names; the members after those get a number.
INSERT INTO social.users (id, username, display_name, profile_image, bio, created_at)
SELECT n,
       lower(first_name || '.' || last_name) || coalesce(nullif((n - 1) / 3600 + 1, 1)::text, ''),
       first_name || ' ' || last_name,
       CASE WHEN pg_temp.unit(n, 1) < 0.93 THEN '/images/people/' || n || '.webp' END,
       CASE WHEN pg_temp.unit(n, 2) < 0.8
            THEN pg_temp.pick(trades, n, 3) || ' in ' || pg_temp.pick(cities, n, 4) || ', '
                 || pg_temp.pick(habits, n, 5) || '.'
            ELSE '' END,
       pg_temp.moment(pg_temp.joined(n, :users))
FROM words,
     generate_series(1, :users::bigint) AS n,
     LATERAL (SELECT (n * 2477) % 3600 AS pair) AS pairs,
     LATERAL (SELECT first_names[1 + pair / 60] AS first_name, last_names[1 + pair % 60] AS last_name) AS names
ORDER BY n;

-- pull says how much a post attracts: 0 for most, 1,000 for the one in 100,000 that everybody sees.
CREATE TEMPORARY TABLE posts ON COMMIT DROP AS
SELECT n AS id,
       1 + floor(power(pg_temp.unit(n, 10), 2.5) * pg_temp.membership(share, :users))::bigint AS user_id,
       share,
       power(1 - pg_temp.unit(n, 11), -0.6) - 1 AS pull
FROM generate_series(1, :feeds::bigint) AS n,
     LATERAL (SELECT (n - pg_temp.unit(n, 12)) / :feeds AS share) AS times;

INSERT INTO social.feeds (id, user_id, content, image, views, created_at)
SELECT id, user_id,
       pg_temp.pick(openings, id, 20) || ' ' || pg_temp.pick(subjects, id, 21) || '. ' || pg_temp.pick(closings, id, 22),
       CASE WHEN pg_temp.unit(id, 23) < 0.4 THEN '/images/posts/' || id || '.webp' END,
       floor(20 + 90 * pull * (1 + pg_temp.unit(id, 24)) + 30 * pg_temp.unit(id, 25)),
       pg_temp.moment(share)
FROM posts, words
ORDER BY id;

-- Steps of the golden ratio spread a post's likes over the members with hardly a repetition.
INSERT INTO social.likes (feed_id, user_id, created_at)
SELECT feed_id, user_id, pg_temp.moment(greatest(share, pg_temp.joined(user_id, :users)) + delay) AS created_at
FROM (SELECT DISTINCT ON (p.id, members.user_id) p.id AS feed_id, members.user_id, p.share,
             0.004 * -ln(1 - pg_temp.unit(p.id * 100003 + step, 31)) AS delay
      FROM posts AS p,
           generate_series(1, least(7 * p.pull, 0.4 * :users)::int) AS step,
           LATERAL (SELECT pg_temp.unit(p.id, 30) + step * 0.6180339887498949 AS position) AS positions,
           LATERAL (SELECT 1 + floor(:users * power(position - floor(position), 1.4))::bigint AS user_id) AS members
      ORDER BY p.id, members.user_id, step) AS chosen
ORDER BY created_at, feed_id, user_id;

INSERT INTO social.comments (feed_id, user_id, content, created_at)
SELECT feed_id, user_id,
       pg_temp.pick(remarks, number, 42)
       || CASE WHEN pg_temp.unit(number, 43) < 0.4 THEN ' ' || pg_temp.pick(remark_endings, number, 44) ELSE '' END,
       pg_temp.moment(greatest(share, pg_temp.joined(user_id, :users)) + 0.006 * -ln(1 - pg_temp.unit(number, 45)))
           AS created_at
FROM words,
     (SELECT p.id AS feed_id, p.share, number,
             1 + floor(:users * power(pg_temp.unit(number, 41), 1.8))::bigint AS user_id
      FROM posts AS p,
           generate_series(1, (2 * p.pull + 0.7 * pg_temp.unit(p.id, 40))::int) AS step,
           LATERAL (SELECT p.id * 100003 + step AS number) AS numbers) AS written
ORDER BY created_at, feed_id, user_id, number;

INSERT INTO social.follows (follower_id, followee_id, created_at)
SELECT follower_id, followee_id,
       pg_temp.moment(greatest(pg_temp.joined(follower_id, :users), pg_temp.joined(followee_id, :users))
                      + 0.1 * pg_temp.unit(follower_id * 100003 + followee_id, 52)) AS created_at
FROM (SELECT DISTINCT follower_id,
             1 + floor(:users * power(pg_temp.unit(follower_id * 100003 + step, 51), 2.2))::bigint AS followee_id
      FROM generate_series(1, :users::bigint) AS follower_id,
           generate_series(1, least(8 * power(1 - pg_temp.unit(follower_id, 50), -0.6) + 2, 0.2 * :users)::int) AS step)
     AS pairs
WHERE follower_id <> followee_id
ORDER BY created_at, follower_id, followee_id;

-- The last month's events; the older half of them has been read.
INSERT INTO social.notifications (user_id, actor_id, kind, feed_id, read_at, created_at)
SELECT user_id, actor_id, kind, feed_id,
       CASE WHEN created_at < pg_temp.moment(1) - interval '15 days' THEN created_at + interval '3 hours' END,
       created_at
FROM (SELECT f.user_id, l.user_id AS actor_id, 'like' AS kind, l.feed_id, l.created_at
      FROM social.likes AS l JOIN social.feeds AS f ON f.id = l.feed_id
      UNION ALL
      SELECT f.user_id, c.user_id, 'comment', c.feed_id, c.created_at
      FROM social.comments AS c JOIN social.feeds AS f ON f.id = c.feed_id
      UNION ALL
      SELECT followee_id, follower_id, 'follow', NULL, created_at
      FROM social.follows) AS events
WHERE created_at >= pg_temp.moment(1) - interval '30 days' AND user_id <> actor_id
ORDER BY created_at, user_id, actor_id, kind;

SELECT setval(pg_get_serial_sequence('social.users', 'id'), max(id)) FROM social.users \g /dev/null
SELECT setval(pg_get_serial_sequence('social.feeds', 'id'), max(id)) FROM social.feeds \g /dev/null

SET LOCAL maintenance_work_mem = '256MB';
