-- Fills the empty tables of schema.sql; run by `load`, which sets :users, :contents (those of a user, in the middle)
-- and :today.
--
-- Every value comes from a hash of its row's number, never from random(), so each run of a day makes the same rows. A
-- user's reviews are played through as the app would have taken them: each on the day it was due or some days late, the
-- more surely remembered the better its user's memory, and forgotten ones begin anew. Some users study every day, some
-- now and then, some have given up.

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

INSERT INTO review.categories (slug, name) VALUES
    ('anatomy', 'Anatomy'), ('chemistry', 'Chemistry'), ('english', 'English'), ('geography', 'Geography'),
    ('history', 'History'), ('japanese', 'Japanese'), ('law', 'Law'), ('mathematics', 'Mathematics'),
    ('music', 'Music theory'), ('physics', 'Physics'), ('programming', 'Programming'), ('spanish', 'Spanish');

CREATE TEMPORARY TABLE words ON COMMIT DROP AS SELECT
    '{Ada,Aiko,Amara,Anders,Bela,Carmen,Chen,Clara,Daniel,Diego,Elif,Emeka,Emma,Farid,Finn,Grace,Hana,Hugo,Ines,Ivan,
      Jana,Jonas,Kai,Kofi,Lars,Leila,Luca,Maria,Mateo,Maya,Mina,Nadia,Nils,Olga,Omar,Paul,Priya,Rosa,Samir,Sara,Sofia,
      Tariq,Tomas,Uma,Vera,Wei,Yara,Yusuf,Zoe,Noor}'::text[] AS first_names,
    '{Adeyemi,Almeida,Andersson,Becker,Bianchi,Castro,Dahl,Diaz,Dubois,Farouk,Fischer,Garcia,Gupta,Haddad,Hansen,Horvat,
      Ito,Kaya,Keller,Khan,Kim,Kovacs,Kowalski,Kumar,Larsen,Lopez,Martin,Meyer,Mori,Nguyen,Novak,Okafor,Olsen,Park,
      Patel,Petrov,Popescu,Rossi,Sato,Silva}'::text[] AS last_names,
    '{The rule of,A summary of,The proof of,What follows from,The exceptions to,Examples of,The history of,
      The definition of,Three facts about,A mnemonic for,The opposite of,Common mistakes with}'::text[] AS openings,
    '{the subjunctive,the carbon cycle,the cranial nerves,the treaty of Westphalia,the chain rule,binary search,
      the circle of fifths,the Bill of Rights,the noble gases,irregular verbs,the Hepburn romanisation,
      plate tectonics,Ohm''s law,Bayes'' theorem,the Krebs cycle,the ablative,trade winds,recursion,
      the silk road,limits at infinity,contract formation,the minor scales,Newton''s third law,counter words,
      the periodic table,past participles,the Renaissance,graph colouring,joints of the hand,
      the Andes}'::text[] AS subjects,
    '{Say it aloud before you turn the card.,It comes up in every second exam.,Compare it with the entry before.,
      The book has a good picture on page 112.,Write it down from memory first.,The order matters more than the names.,
      There are two cases and one trap.,Think of the example from class.,It holds only where the premise does.,
      Start from the simplest instance.}'::text[] AS hints,
    '{Mixed it up with the one before.,Needed the hint.,Came at once.,Forgot the second half.,Got it after a while.,
      Knew it backwards.}'::text[] AS notes;

-- memory: how surely this user remembers; diligence: how soon what is due gets done; 0: given up.
CREATE TEMPORARY TABLE people ON COMMIT DROP AS
SELECT n AS id, 0.62 + 0.33 * pg_temp.unit(n, 1) AS memory,
       CASE WHEN n > 10 AND pg_temp.unit(n, 2) < 0.15 THEN 0 ELSE 0.3 + 0.7 * pg_temp.unit(n, 3) END AS diligence,
       20 + floor(380 * power(pg_temp.unit(n, 4), 1.5))::int AS days,
       greatest(3, round(:contents * exp(1.2 * (pg_temp.unit(n, 5) - 0.5))))::int AS contents,
       tier, CASE tier WHEN 'free' THEN 14 WHEN 'basic' THEN 60 ELSE 180 END AS max_interval_days
FROM generate_series(1, :users::bigint) AS n,
     LATERAL (SELECT CASE WHEN pg_temp.unit(n, 6) < 0.7 THEN 'free' WHEN pg_temp.unit(n, 6) < 0.93 THEN 'basic'
                          ELSE 'premium' END AS tier) AS tiers;

-- 2,000 pairs of names; the users after those get a number.
INSERT INTO review.users (id, username, display_name, created_at)
SELECT id, lower(first_name || '.' || last_name) || coalesce(nullif((id - 1) / 2000 + 1, 1)::text, ''),
       first_name || ' ' || last_name, (:'today'::date - days)::timestamp AT TIME ZONE 'UTC' + interval '9 hours'
FROM words, people,
     LATERAL (SELECT (id * 1237) % 2000 AS pair) AS pairs,
     LATERAL (SELECT first_names[1 + pair / 40] AS first_name, last_names[1 + pair % 40] AS last_name) AS names
ORDER BY id;

INSERT INTO review.subscriptions (user_id, tier, changed_at)
SELECT p.id, p.tier, u.created_at
FROM people AS p JOIN review.users AS u USING (id)
ORDER BY p.id;

-- Written over the time that a user has been there; the numbers follow that time, so the newest has the highest.
CREATE TEMPORARY TABLE cards ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY made_on, author_id, place) AS id, *
FROM (SELECT p.id AS author_id, p.memory, p.diligence, p.max_interval_days, place,
             p.id * 100003 + place AS number,
             :'today'::date - floor(p.days * (1 - (place - pg_temp.unit(p.id * 100003 + place, 10)) / p.contents))::int
                 AS made_on
      FROM people AS p, generate_series(1, p.contents) AS place) AS written;

INSERT INTO review.contents (id, author_id, category_slug, title, content, created_at, updated_at)
SELECT id, author_id,
       slugs[1 + floor(12 * power(pg_temp.unit(author_id * 7 + favourite, 12), 1.3))::int],
       pg_temp.pick(openings, number, 13) || ' ' || pg_temp.pick(subjects, number, 14) || ', ' || place,
       pg_temp.pick(hints, number, 15) || ' ' || pg_temp.pick(hints, number, 16)
       || CASE WHEN pg_temp.unit(number, 17) < 0.5 THEN ' ' || pg_temp.pick(hints, number, 18) ELSE '' END,
       made_at, made_at
FROM cards, words, (SELECT array_agg(slug ORDER BY slug) AS slugs FROM review.categories) AS categories,
     LATERAL (SELECT floor(4 * pg_temp.unit(number, 11))::int AS favourite) AS favourites,
     LATERAL (SELECT made_on::timestamp AT TIME ZONE 'UTC'
                     + make_interval(secs => round(86399 * pg_temp.unit(number, 19))) AS made_at) AS times
ORDER BY id;

-- The reviews of one content, one after the other until the next would be due after today or is not done yet.
CREATE TEMPORARY TABLE played ON COMMIT DROP AS
WITH RECURSIVE played AS (
    SELECT id, author_id, number, memory, diligence, max_interval_days, 0 AS turn, NULL::date AS reviewed_on,
           NULL::text AS result, 0 AS step_before, 0 AS step, made_on + review.interval_days(0) AS due_on
    FROM cards
    UNION ALL
    SELECT id, author_id, number, memory, diligence, max_interval_days, turn + 1, done_on, outcome, step,
           step_after, done_on + least(review.interval_days(step_after), max_interval_days)
    FROM played,
         LATERAL (SELECT number * 31 + turn AS key) AS keys,
         LATERAL (SELECT due_on + floor((1.4 - diligence) * 3 * -ln(1 - pg_temp.unit(key, 20)))::int AS done_on,
                         pg_temp.unit(key, 21) AS luck) AS tries,
         LATERAL (SELECT CASE WHEN luck < least(memory + 0.03 * step, 0.97) THEN 'remembered'
                              WHEN luck < least(memory + 0.03 * step, 0.97) + 0.6 * (1 - memory) THEN 'partial'
                              ELSE 'forgot' END AS outcome) AS outcomes,
         LATERAL (SELECT CASE outcome WHEN 'remembered' THEN least(step + 1, 7) WHEN 'partial' THEN step ELSE 0 END
                         AS step_after) AS steps
    WHERE turn < 60 AND done_on < :'today'::date AND (diligence > 0 OR turn < 2)
)
SELECT * FROM played;

INSERT INTO review.review_histories
    (user_id, content_id, result, step, time_spent_seconds, notes, reviewed_on, reviewed_at)
SELECT author_id, id, result, step_before,
       CASE WHEN pg_temp.unit(key, 30) < 0.9 THEN 5 + floor(40 * -ln(1 - pg_temp.unit(key, 31)))::int END,
       CASE WHEN pg_temp.unit(key, 32) < 0.05 THEN pg_temp.pick(notes, key, 33) END,
       reviewed_on,
       reviewed_on::timestamp AT TIME ZONE 'UTC' + make_interval(secs => round(86399 * pg_temp.unit(key, 34)))
           AS reviewed_at
FROM played, words, LATERAL (SELECT number * 31 + turn AS key) AS keys
WHERE turn > 0
ORDER BY reviewed_at, id;

-- One in twenty has been set aside.
INSERT INTO review.review_schedules (user_id, content_id, step, due_on, active, reviews)
SELECT DISTINCT ON (id) author_id, id, step, due_on, pg_temp.unit(number, 40) >= 0.05, turn
FROM played
ORDER BY id, turn DESC;

SELECT setval(pg_get_serial_sequence('review.users', 'id'), max(id)) FROM review.users \g /dev/null
SELECT setval(pg_get_serial_sequence('review.contents', 'id'), max(id)) FROM review.contents \g /dev/null

SET LOCAL maintenance_work_mem = '256MB';
