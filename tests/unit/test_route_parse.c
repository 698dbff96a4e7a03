#include "unit.h"

#include "base/duration.h"
#include "route/route.h"

struct parsed {
    struct arena *arena;
    struct fault_list faults;
    struct route *route;
};

static struct parsed parse(const char *text)
{
    struct parsed parsed = {.arena = arena_new()};
    parsed.faults.arena = parsed.arena;
    parsed.route = route_parse("f.sql", span_of(text), parsed.arena, &parsed.faults);
    return parsed;
}

static void parsed_free(struct parsed *parsed)
{
    route_release(parsed->route);
    fault_list_free(&parsed->faults);
    arena_free(parsed->arena);
}

static struct parsed parse_good(const char *text)
{
    struct parsed parsed = parse(text);
    if (!parsed.route)
        fail_msg("%s\n%u:%u: %s", text, parsed.faults.faults[0].line,
                 parsed.faults.faults[0].column, parsed.faults.faults[0].text);
    return parsed;
}

static void reads_a_whole_file(void **state)
{
    struct parsed parsed CLEANUP(parsed_free) =
        parse_good("\xef\xbb\xbf"
                   "-- The newest feeds.\r\n"
                   "--\r\n"
                   "--   Indented.\r\n"
                   "-- @http GET /users/{id}/feeds/\r\n"
                   "-- @param limit int default=020 min=1 max=100\r\n"
                   "-- @param q text maxlen=20 default=null\r\n"
                   "-- @param id bigint min=1\r\n"
                   "-- @param ids int[] default={1,2}\r\n"
                   "-- @param user_agent in=header\r\n"
                   "-- @cache ttl=300s stale=30s error=1h negative=5s compress=off\r\n"
                   "-- @control public, max-age=60\r\n"
                   "-- @timeout 2s\r\n"
                   "\r\n"
                   "/* a block -- @comment */\r\n"
                   "-- Last words.\r\n"
                   "SELECT :limit, :id, :q, :limit, :ids, :user_agent, :now, :today;\r\n");
    struct route *route = parsed.route;
    static const char *const names[] = {"id", "limit", "q", "ids", "user_agent", "now", "today"};
    static const enum param_place places[] = {PLACE_PATH,   PLACE_QUERY, PLACE_QUERY, PLACE_QUERY,
                                              PLACE_HEADER, PLACE_CLOCK, PLACE_CLOCK};
    (void)state;
    assert_string_equal(route->name, "GET /users/{id}/feeds/");
    assert_int_equal(route->line, 4);
    assert_true(span_is(route->summary, "The newest feeds."));
    assert_true(span_is(route->description, "The newest feeds.\n\n  Indented.\nLast words."));
    assert_int_equal(route->segment_count, 4);
    assert_int_equal(route->segments[1].param, 0);
    assert_int_equal(route->segments[1].text.size, 0);
    assert_int_equal(route->segments[3].param, -1);
    assert_int_equal(route->segments[3].text.size, 0);
    assert_int_equal(route->param_count, ARRAY_COUNT(names));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_string_equal(route->params[i].name, names[i]);
        assert_int_equal(route->params[i].place, places[i]);
    }
    assert_true(route->params[0].required && route->params[4].required);
    assert_true(span_is(route->params[1].default_text, "20") && !route->params[1].required);
    assert_true(route->params[2].default_null && !route->params[2].required);
    assert_true(route->params[3].array && route->params[3].type == TYPE_INTEGER);
    assert_int_equal(route->params[5].type, TYPE_TIMESTAMPTZ);
    assert_int_equal(route->params[6].type, TYPE_DATE);
    assert_int_equal(route->statement.param_of[0], 1);
    assert_int_equal(route->statement.param_of[1], 0);
    assert_int_equal(route->statement.line, 16);
    assert_true(route->cache.present && route->cache.l1 && !route->cache.compress);
    assert_int_equal(route->cache.ttl, 300 * SECOND);
    assert_int_equal(route->cache.negative, 5 * SECOND);
    assert_int_equal(route->timeout, 2 * SECOND);
    assert_true(span_is(route->control, "public, max-age=60"));
}

static void reads_a_write(void **state)
{
    struct parsed parsed CLEANUP(parsed_free) =
        parse_good("-- @http POST /feeds/{id}/like\n"
                   "-- @param note text maxlen=100 pattern='[a-z, ]+' enum=\"a, b\",c default=c\n"
                   "-- @result none\n"
                   "-- @auth required role=member rls\n"
                   "-- @limit 100/min by=ip burst=10\n"
                   "-- @limit 5/s by=id\n"
                   "-- @invalidates feeds feed:{id} user:{auth.sub}\n"
                   "-- @refreshes GET /feeds/{id}\n"
                   "-- @async prefer retries=3 timeout=5s dedupe={id}:{note}\n"
                   "-- @location /feeds/{id}\n"
                   "INSERT INTO likes VALUES (:id, :note, :extra, :body)");
    struct route *route = parsed.route;
    (void)state;
    assert_true(route->async.present && route->async.preferred);
    assert_int_equal(route->async.retries, 3);
    assert_int_equal(route->async.timeout, 5 * SECOND);
    assert_true(span_is(route->async.dedupe, "{id}:{note}"));
    assert_false(route->behind.present);
    assert_int_equal(route->limit_count, 2);
    assert_int_equal(route->limits[0].by, LIMIT_BY_IP);
    assert_int_equal(route->limits[0].count, 100);
    assert_int_equal(route->limits[0].period, 60 * SECOND);
    assert_int_equal(route->limits[0].burst, 10);
    assert_int_equal(route->limits[1].by, LIMIT_BY_PARAM);
    assert_int_equal(route->limits[1].burst, 5);
    assert_string_equal(route->params[route->limits[1].param_at].name, "id");
    assert_int_equal(route->result, RESULT_NONE);
    assert_int_equal(route->param_count, 5);
    assert_int_equal(route->params[1].place, PLACE_BODY);
    assert_true(span_is(route->params[1].choices[0], "a, b"));
    assert_string_equal(route->params[2].name, "extra");
    assert_int_equal(route->params[2].place, PLACE_BODY);
    assert_false(route->params[2].required);
    assert_int_equal(route->params[3].place, PLACE_WHOLE_BODY);
    assert_string_equal(route->params[4].name, "auth.sub");
    assert_int_equal(route->params[4].place, PLACE_CLAIM);
}

static void reads_writes_in_batches(void **state)
{
    struct parsed parsed CLEANUP(parsed_free) =
        parse_good("-- @http POST /a\n-- @behind batch=500 every=200ms bound=20000 full=now\n"
                   "SELECT 1");
    struct parsed plain CLEANUP(parsed_free) =
        parse_good("-- @http POST /a\n-- @behind every=1s batch=1 full=refuse\nSELECT 1");
    (void)state;
    const struct route_behind *behind = &parsed.route->behind;
    assert_true(behind->present && behind->full_now);
    assert_int_equal(behind->batch, 500);
    assert_int_equal(behind->every, SECOND / 5);
    assert_int_equal(behind->bound, 20000);
    assert_true(plain.route->behind.present && !plain.route->behind.full_now);
    assert_int_equal(plain.route->behind.bound, 10000);
}

static void shares_parameters_between_statements(void **state)
{
    struct parsed parsed CLEANUP(parsed_free) =
        parse_good("-- @http POST /a/{id}\n"
                   "UPDATE a SET n = :n WHERE id = :id;\n"
                   "-- and what became of it\n"
                   "INSERT INTO b SELECT :id, :note RETURNING *;\n");
    struct route *route = parsed.route;
    (void)state;
    assert_int_equal(route->before_count, 1);
    assert_true(span_is(route->before[0].sql, "UPDATE a SET n = $1 WHERE id = $2"));
    assert_true(span_is(route->statement.sql, "INSERT INTO b SELECT $1, $2 RETURNING *"));
    assert_int_equal(route->param_count, 3);
    assert_int_equal(route->before[0].param_of[0], 1);
    assert_int_equal(route->before[0].param_of[1], 0);
    assert_int_equal(route->statement.param_of[0], 0);
    assert_int_equal(route->statement.param_of[1], 2);
    assert_int_equal(route->statement.line, 4);
}

/* `value` has a colon where it is a parameter. */
static void assert_depends(const struct route_depend *depend, size_t index, const char *column,
                           const char *value)
{
    const struct route_depend_term *term = &depend->terms[index];
    assert_true(span_is(term->column, column));
    assert_int_equal(term->by_param, value[0] == ':');
    assert_true(span_is(term->value, value + term->by_param));
}

static void reads_tags_and_depends(void **state)
{
    struct parsed parsed CLEANUP(parsed_free) =
        parse_good("-- @http GET /a/{id}\n"
                   "-- @depends social.feeds.user_id = :id\n"
                   "-- @depends \"My Feeds\".id=\"x = y\"\n"
                   "-- @depends a.\"=\" = :id AND a.b = and and \"c,\"=for For a.d,\"e, f\" , for\n"
                   "-- @tags feeds feed:{id}\n"
                   "-- @tags more\n"
                   "-- @nginx ttl=1m\n"
                   "SELECT 1");
    struct route *route = parsed.route;
    (void)state;
    assert_int_equal(route->depend_count, 3);
    assert_true(span_is(route->depends[0].table, "social.feeds"));
    assert_depends(&route->depends[0], 0, "user_id", ":id");
    assert_true(span_is(route->depends[1].table, "\"My Feeds\""));
    assert_depends(&route->depends[1], 0, "id", "\"x = y\"");
    assert_int_equal(route->depends[1].term_count, 1);
    assert_int_equal(route->depends[1].column_count, 0);
    const struct route_depend *last = &route->depends[2];
    assert_int_equal(last->term_count, 3);
    assert_depends(last, 0, "\"=\"", ":id");
    assert_depends(last, 1, "b", "and");
    assert_depends(last, 2, "\"c,\"", "for");
    assert_int_equal(last->column_count, 3);
    assert_true(span_is(last->columns[0], "d"));
    assert_true(span_is(last->columns[1], "\"e, f\""));
    assert_true(span_is(last->columns[2], "for"));
    assert_int_equal(route->tag_count, 3);
    assert_true(span_is(route->tags[1].text, "feed:{id}"));
    assert_true(span_is(route->tags[2].text, "more"));
    assert_int_equal(route->nginx_ttl, 60 * SECOND);
}

/* Files without a fault. */
static const char *const good[] = {
    "--@http GET /\nSELECT 1",
    "  -- \t@http \tGET\t/a  \nSELECT 1",
    "-- @http GET /a\rSELECT 1",
    "-- @http GET /a\n-- @param a double precision\n-- @param b timestamp with time zone\n"
    "-- @param c numeric(10, 2)\n-- @param d my.enum []\nSELECT :a, :b, :c, :d",
    "-- @http GET /a\n-- @auth none\nSELECT 1",
    "-- @http GET /a/{id}\n-- @auth optional\n-- @depends a.b = :auth.app.role and c=:id\nSELECT "
    ":id",
    "-- @http GET /a\n-- @auth optional\nSELECT :auth.sub",
    "-- @http GET /a\n-- @auth required\n-- @control public, s-maxage=5\nSELECT 1",
    "-- @http GET /a\n-- @stream csv filename=\"my export.csv\"\nSELECT 1",
    "-- @http GET /a\n-- @stream ndjson,csv,json mark=on guard=on compress=off\nSELECT 1",
    "-- @http GET /a/{b}\n-- @stream csv filename={b}.csv\n-- @control private\nSELECT :b",
    "-- @http GET /a\n-- @page by=created_at,id\nSELECT 1",
    "-- @http GET /a\n-- @page by=\"a desc, b ASC,c\"\n-- @param limit bigint default=5 min=1 "
    "max=9\n"
    "SELECT (SELECT a FROM t ORDER BY b LIMIT 1) AS a, t.\"limit\" AS b, 'order by' AS c FROM t",
    "-- @http GET /a\n-- @cache ttl=1m l1=off\nSELECT 1",
    "-- @http GET /get/{key}\n-- @kv get key=demo:{key}\n",
    "-- @http POST /set\n-- @kv set key={key} value={value} ttl=60s",
    "-- @http DELETE /a/{key}\n-- @kv delete key={key}",
    "-- @http PUT /{a}/{b}\n-- @param v json in=query\n-- @kv set key={a}:{b} value={v}{v}",
    "-- @http DELETE /a\n-- @param id int\nDELETE FROM a WHERE id = :id",
    "-- @http GET /a\n-- @control private, no-cache, max-age=0\nSELECT 1",
    "-- @http GET /a/{slug}\nSELECT 1",
    "-- @http GET /a\n-- @param s text default='null'\nSELECT :s",
    "-- @http GET /a\n-- @param u text pattern='^[a-f0-9]{8}-([a-f0-9]{4}-){3}[a-f0-9]{12}$'\n"
    "SELECT :u",
};

static void accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct parsed parsed CLEANUP(parsed_free) = parse_good(good[i]);
        assert_non_null(parsed.route);
    }
}

/* A file and its one fault; @http GET /a and SELECT 1 are put around when it begins with '@'. */
static const struct {
    const char *text;
    unsigned line, column;
    const char *fault; /* how it begins */
} faulty[] = {
    {"SELECT 1", 1, 0, "no @http line"},
    {"-- @http GET /a\n", 1, 0, "no statement follows"},
    {"-- @http GET /a\n/* open\nSELECT 1", 2, 1, "the comment /* has no end */"},
    {"-- @http get /a\nSELECT 1", 1, 10,
     "@http: \"get\" is no method here; allowed: GET, POST, PUT, PATCH, DELETE, in capitals"},
    {"-- @http HEAD /a\nSELECT 1", 1, 10, "@http: \"HEAD\" is no method here"},
    {"-- @http GET\nSELECT 1", 1, 0, "@http needs a method and a path"},
    {"-- @http GET a\nSELECT 1", 1, 14, "@http: \"a\": a path begins with '/'"},
    {"-- @http GET /a b\nSELECT 1", 1, 17, "@http: \"b\" is one word too many"},
    {"-- @http GET /\xc3\xa9//a\nSELECT 1", 1, 17, "@http: \"/\xc3\xa9//a\": a path has no empty"},
    {"-- @http GET /_larder/x\nSELECT 1", 1, 14, "@http: paths below /_larder"},
    {"-- @http GET /a/{now}\n-- @param now\nSELECT :now", 2, 11, "@param: \"now\" has a meaning"},
    {"-- @http GET /a\n-- \xff\nSELECT 1", 2, 4, "a byte that is not UTF-8"},
    {"-- @http GET /a\n-- @cahe ttl=1s\nSELECT 1", 2, 4,
     "unknown annotation @cahe; did you mean @cache?"},
    {"@something", 2, 4, "unknown annotation @something; known are @http @param @result"},
    {"@http GET /b", 2, 4, "@http stands on line 1 already"},
    {"@result row rows", 2, 12, "@result: \"row rows\" must be rows, row, value, json or none"},
    {"@result", 2, 0, "@result: \"\" must be"},
    {"@timeout 5", 2, 13, "@timeout: \"5\" is not a duration"},
    {"@timeout 0", 2, 13, "@timeout: \"0\" must be from 1ms to 1d"},
    {"@timeout 2d", 2, 13, "@timeout: \"2d\" must be from 1ms to 1d"},
    {"@cache", 2, 0, "@cache: ttl= is missing"},
    {"@cache stale=5s", 2, 0, "@cache: ttl= is missing"},
    {"@cache ttl=0", 2, 15, "@cache: ttl=0 must be a duration above 0"},
    {"@cache ttl=5", 2, 15, "@cache: ttl= \"5\" is not a duration"},
    {"@cache ttl=5s ttl=6s", 2, 18, "@cache: ttl stands here twice"},
    {"@cache ttl=5s tll=6s", 2, 18,
     "@cache: \"tll=6s\" is unknown; allowed: ttl=, stale=, error=, negative=, l1=, compress="},
    {"@cache ttl=5s fast", 2, 18, "@cache: \"fast\" is unknown"},
    {"@cache ttl=5s l1=no", 2, 21, "@cache: l1=no must be on or off"},
    {"@cache ttl=\"5s", 2, 15, "@cache: the quote in ttl= is not closed"},
    {"@cache ttl=\"5\"s", 2, 15, "@cache: ttl= goes on behind its closing quote"},
    {"-- @http POST /a\n-- @cache ttl=5s\nSELECT 1", 2, 0,
     "@cache doesn't fit a POST; it is for GET"},
    {"@behind batch=1 every=1s", 2, 0, "@behind doesn't fit a GET; it is for POST, PUT, PATCH"},
    {"@control", 2, 0, "@control needs Cache-Control directives"},
    {"@control public private", 2, 13, "@control: \"public private\" is not a directive"},
    {"@control max-age=\"x", 2, 13, "@control: max-age must be a whole number of seconds"},
    {"@control no-cache=", 2, 13, "@control: no-cache takes no value"},
    {"@control private, no-cache=\"set-cookie\"", 2, 13, "@control: no-cache takes no value"},
    {"@control max-age=1h", 2, 13, "@control: max-age must be a whole number of seconds"},
    {"@control max-age", 2, 13, "@control: max-age must be a whole number of seconds"},
    {"@control no-cache, No-Cache", 2, 13, "@control: no-cache is given twice"},
    {"@control public, Private", 2, 13, "@control: "},
    {"@control s-maxage=5, stale-while-revalidate=5", 2, 13, "@control: "},
    {"@control private\n-- @nginx ttl=5s", 3, 11,
     "@nginx keeps one answer for everybody, but @control"},
    {"@auth required\n-- @nginx ttl=5s", 3, 11, "@nginx keeps one answer for everybody, but @auth"},
    {"@control s-maxage=5\n-- @auth required", 2, 13, "@control: s-maxage lets others keep"},
    {"@nginx", 2, 0, "@nginx: ttl= is missing"},
    {"@nginx ttl=500ms", 2, 11, "@nginx: ttl= is less than 1s"},
    {"@auth", 2, 0, "@auth: \"\" must be none, optional or required"},
    {"@auth maybe", 2, 10, "@auth: \"maybe\" must be none, optional or required"},
    {"@auth none rls", 2, 15, "@auth none: role= and rls need optional or required"},
    {"@auth required group=x", 2, 19, "@auth: \"group=x\" is unknown; allowed: role=, rls"},
    {"@limit 100 by=ip", 2, 11, "@limit: \"100\" must be a number and s, min, hour or day"},
    {"@limit 0/s by=ip", 2, 11, "@limit: \"0/s\" must be"},
    {"@limit 5/week by=ip", 2, 11, "@limit: \"5/week\" must be"},
    {"@limit 5/s", 2, 0, "@limit: by= is missing"},
    {"@limit 5/s by=ID", 2, 18, "@limit: by=ID must be ip, user or a parameter's name"},
    {"@limit 5/s by=nobody", 2, 18, "nobody: it has no source"},
    {"@limit 1000000000/s by=ip", 2, 11, "@limit: \"1000000000/s\" must be"},
    {"@limit 1/day by=ip burst=366", 2, 11, "@limit: burst=366 is more than 1/day gives back"},
    {"-- @http POST /a\n-- @param key text\n-- @limit 5/s by=key\nSELECT :key", 3, 0,
     "@limit: by=key must be in the path, the query or a header"},
    {"@stream", 2, 0, "@stream needs csv, ndjson or json"},
    {"@stream xml", 2, 12, "@stream: \"xml\" must be csv, ndjson or json"},
    {"@stream csv,", 2, 16, "@stream: \"\" must be csv, ndjson or json"},
    {"@stream csv,json,csv", 2, 21, "@stream: csv stands there twice"},
    {"@stream csv mark=yes", 2, 21, "@stream: mark=yes must be on or off"},
    {"@stream csv filename=a-{b}", 2, 28, "b: it has no source"},
    {"@stream ndjson mark=on", 2, 0, "@stream: mark=on is for csv, which is not offered"},
    {"@stream json guard=on", 2, 0, "@stream: guard=on is for csv, which is not offered"},
    {"@stream csv\n-- @cache ttl=1m", 3, 0, "@cache is of no use beside @stream"},
    {"@result row\n-- @stream csv", 2, 0, "@result is of no use beside @stream"},
    {"@stream csv filename=a/b", 2, 25, "@stream: filename=a/b must be printable ASCII"},
    {"@page by=a,,b", 2, 13, "@page: by=a,,b must be up to 8 different columns"},
    {"@page by=a,b,a", 2, 13, "@page: by=a,b,a must be up to 8 different columns"},
    {"@page by=a,", 2, 13, "@page: by=a, must be up to 8 different columns"},
    {"@page by=a,b,c,d,e,f,g,h,i", 2, 13, "@page: by=a,b,c,d,e,f,g,h,i must be up to 8"},
    {"@page by=\"a down\"", 2, 13, "@page: by=\"a down\" must be up to 8 different columns"},
    {"@page", 2, 0, "@page: by= is missing"},
    {"-- @http GET /a\n-- @page by=a\n-- @result row\nSELECT 1 AS a", 2, 13,
     "@page fits \"@result rows\" alone"},
    {"-- @http GET /a\n-- @page by=a\n-- @stream csv\nSELECT 1 AS a", 2, 0,
     "@page is of no use beside @stream"},
    {"-- @http GET /a\n-- @page by=a\nSELECT 1 AS a LIMIT 5", 2, 13,
     "@page puts ORDER BY and LIMIT around the statement, which must give all rows: leave its own "
     "limit out"},
    {"-- @http GET /a\n-- @page by=a\nSELECT 1 AS a ORDER BY 1", 2, 13,
     "@page puts ORDER BY and LIMIT around the statement, which must give all rows: leave its own "
     "order by out"},
    {"-- @http GET /a\n-- @page by=a\nSELECT 1 AS a WHERE 1 > :cursor", 3, 26,
     ":cursor is @page's own"},
    {"-- @http GET /a\n-- @page by=a\nSELECT :limit AS a", 3, 9, ":limit is @page's own"},
    {"-- @http GET /a\n-- @page by=a\n-- @param limit int default=5\nSELECT 1 AS a", 2, 13,
     "@page: the parameter limit, the size of a page, needs min= of at least 1 and max="},
    {"-- @http GET /a\n-- @page by=a\n-- @param limit text\nSELECT 1 AS a", 2, 13,
     "@page: the parameter limit, the size of a page, is a whole number"},
    {"-- @http GET /a/{limit}\n-- @page by=a\nSELECT 1 AS a", 2, 13,
     "@page: the parameter limit, the size of a page, comes from the query"},
    {"-- @http GET /a/{cursor}\n-- @page by=a\nSELECT 1 AS a", 2, 13,
     "@page: the parameter cursor is its own"},
    {"@version 1x", 2, 13, "@version needs a column's name"},
    {"@tags", 2, 0, "@tags needs at least one tag"},
    {"@tags a*b", 2, 10, "@tags: \"a*b\" is no tag"},
    {"@tags a:{id", 2, 12, "@tags: a place is written {name}"},
    {"@tags a:{id}", 2, 13, "id: it has no source: declare it with @param"},
    {"@depends feeds = :id", 2, 13, "@depends: \"feeds = :id\" must be table.column = :param"},
    {"@depends a.b.c.d = x", 2, 13, "@depends: \"a.b.c.d = x\" must be"},
    {"@depends a.b", 2, 13, "@depends: \"a.b\" must be"},
    {"@depends a.b = :id", 2, 20, "id: it has no source"},
    {"@depends", 2, 0, "@depends: \"\" must be table.column = :param"},
    {"@depends b = c", 2, 13, "@depends: \"b = c\" must be"},
    {"@depends a.b = c, d", 2, 13, "@depends: \"a.b = c, d\" must be table.column"},
    {"@depends a.b = c or d = e", 2, 13, "@depends: \"a.b = c or d = e\" must be"},
    {"@depends a.b = c and", 2, 13, "@depends: \"a.b = c and\" must be"},
    {"@depends a.b = c and d", 2, 13, "@depends: \"a.b = c and d\" must be"},
    {"@depends a.b = c and d = :\"e\"", 2, 13, "@depends: \"a.b = c and d = :\"e\"\" must be"},
    {"@depends a.b = c for", 2, 13, "@depends: \"a.b = c for\" must be"},
    {"@depends a.b = c for d,", 2, 13, "@depends: \"a.b = c for d,\" must be"},
    {"@depends a.b = c for d e", 2, 13, "@depends: \"a.b = c for d e\" must be"},
    {"@depends a.b = c for \"d", 2, 13, "@depends: \"a.b = c for \"d\" must be"},
    {"@depends a.b = c and x.d = e", 2, 25,
     "@depends: a line is for one table, so \"d\" must be a column of a"},
    {"@depends a.b = c for x.a.d", 2, 25, "@depends: a line is for one table, so \"d\" must be"},
    {"@depends a.b = c and d = e and f = g and h = i", 2, 45,
     "@depends: a line narrows by at most 3 columns"},
    {"-- @http POST /a\n-- @refreshes POST /a\nSELECT 1", 2, 0, "@refreshes needs GET and a path"},
    {"-- @http POST /a\n-- @behind batch=0 every=1s\nSELECT 1", 2, 18,
     "@behind: batch=0 must be a whole number from 1"},
    {"-- @http POST /a\n-- @behind batch=5\nSELECT 1", 2, 0, "@behind: every= is missing"},
    {"-- @http POST /a\n-- @behind batch=5 every=0s\nSELECT 1", 2, 26,
     "@behind: every=0s must be from 1ms to 1h"},
    {"-- @http POST /a\n-- @behind batch=5 every=999us\nSELECT 1", 2, 26,
     "@behind: every=999us must be from 1ms to 1h"},
    {"-- @http POST /a\n-- @behind batch=5 every=61m\nSELECT 1", 2, 26,
     "@behind: every=61m must be from 1ms to 1h"},
    {"-- @http POST /a\n-- @behind batch=5 every=1s full=wait\nSELECT 1", 2, 34,
     "@behind: full=wait must be refuse or now"},
    {"-- @http POST /a\n-- @behind batch=5 every=1s bound=4\nSELECT 1", 2, 0,
     "@behind: bound=4 must be at least batch=5"},
    {"-- @http POST /a\n-- @behind batch=4001 every=1s bound=20000\nSELECT 1", 2, 0,
     "@behind: batch=4001 must be at most 4000"},
    {"-- @http PUT /a\n-- @version v\n-- @result row\n-- @behind batch=5 every=1s\n"
     "UPDATE a SET v = v + 1 WHERE v = :version RETURNING v",
     2, 0, "@version doesn't go with @behind"},
    {"-- @http POST /a\n-- @async\n-- @behind batch=5 every=1s\nSELECT 1", 3, 0,
     "a route has @async or @behind, and line 2 has the other"},
    {"-- @http POST /a\n-- @async dedupe={b\nSELECT 1", 2, 18, "@async: a place is written {name}"},
    {"-- @http POST /a\n-- @async timeout=1us\nSELECT 1", 2, 19,
     "@async: timeout=1us must be from 1ms to 1d"},
    {"-- @http POST /a\n-- @async timeout=25h\nSELECT 1", 2, 19,
     "@async: timeout=25h must be from 1ms to 1d"},
    {"-- @http POST /a\n-- @async retries=x\nSELECT 1", 2, 19, "@async: retries=x must be a whole"},
    {"-- @http POST /a\n-- @location feeds\nSELECT 1", 2, 14,
     "@location: \"feeds\": a path begins"},
    {"-- @http POST /a\n-- @location https://example.net/{id}\nSELECT 1", 2, 14,
     "@location: \"https://example.net/{id}\": a path begins"},
    {"-- @http POST /a\n-- @location /feeds?of={id}\nSELECT 1", 2, 15,
     "@location: \"feeds?of={id}\": a path has no query"},
    {"-- @http GET /a\n-- @kv set key=a value=b", 2, 0, "@kv set doesn't fit a GET"},
    {"-- @http GET /a\n-- @kv get", 2, 0, "@kv: key= is missing"},
    {"-- @http GET /a\n-- @kv get key=a ttl=5s", 2, 18,
     "@kv: \"ttl=5s\" is unknown; allowed: key="},
    {"-- @http GET /a\n-- @kv get key=a\nSELECT 1", 3, 1, "a @kv route has no statement"},
    {"-- @http GET /a\n-- @kv get key=a\n-- @cache ttl=5s", 3, 0, "@cache is of no use beside @kv"},
    {"-- @http GET /a\n-- @result row\n-- @kv get key=a", 2, 0, "@result is of no use beside"},
    {"-- @http GET /{a}/{b}\n-- @kv get key={a}{b}", 2, 12, "@kv: key={a}{b} must have a sign"},
    {"-- @http GET /{a}/{b}\n-- @kv get key={a}x-{b}", 2, 12, "@kv: key={a}x-{b} must have"},
    {"-- @http GET /a\n-- @kv get key=a\n-- @auth required rls", 2, 0, "@auth rls is of no use"},
    {"-- @http GET /{a}\n-- @kv get key={b}", 2, 17, "b: it has no source"},
    {"@param", 2, 0, "@param needs a name"},
    {"@param Limit", 2, 11, "@param: \"Limit\" is no name"},
    {"@param auth", 2, 11, "@param: \"auth\" has a meaning of its own"},
    {"@param body text", 2, 11,
     "@param: \"body\" has a meaning of its own, as :now, :today, :auth.x and :body do; use "
     "another "
     "name, or :body::jsonb->>'body'"},
    {"-- @http GET /a\n-- @param x\n-- @param x int\nSELECT :x", 3, 11,
     "@param x is declared twice"},
    {"@param x int", 2, 11, "@param x is used nowhere"},
    {"-- @http GET /a\nSELECT 1,\n :nme, :nme", 3, 3,
     ":nme: it has no source: declare it with @param, or put {name} in the path"},
    {"-- @http DELETE /a\nSELECT :nme", 2, 9, ":nme: it has no source"},
    {"-- @http POST /a\nSELECT :Nme", 2, 9, ":Nme: a parameter's name has small letters"},
    {"-- @http GET /a\nSELECT :auth", 2, 9, ":auth: a claim is named behind it"},
    {"-- @http GET /a\nSELECT :body", 2, 9, ":body: a GET has no body"},
    {"-- @http GET /a\n-- @nginx ttl=1s\nSELECT :auth.sub", 3, 9, ":auth.sub: @nginx keeps one"},
    {"-- @http GET /a\n-- @nginx ttl=1s\n-- @param x in=header\nSELECT :x", 3, 11,
     "@param x: in=header, but @nginx"},
    {"-- @http GET /a/{x}\n-- @param x in=query\nSELECT :x", 2, 11,
     "@param x: in=query, but {x} stands in the path"},
    {"-- @http GET /a\n-- @param x in=path\nSELECT :x", 2, 11,
     "@param x: in=path, but {x} doesn't"},
    {"-- @http GET /a\n-- @param x in=body\nSELECT :x", 2, 11, "@param x: in=body, but a GET"},
    {"-- @http GET /a/{x}\n-- @param x int default=1\nSELECT :x", 2, 11,
     "@param x: default= is of no use"},
    {"-- @http GET /a\n-- @param x in=cookie\nSELECT :x", 2, 16,
     "@param: in=cookie must be path, query, body or header"},
    {"-- @http GET /a\n-- @param x int;\nSELECT :x", 2, 13, "@param x: \"int;\" is no type"},
    {"-- @http GET /a\n-- @param x int the page\nSELECT :x", 2, 13,
     "@param x: \"int the page\" is no type"},
    {"-- @http GET /a\n-- @param x int[][]\nSELECT :x", 2, 13,
     "@param x: arrays have one dimension"},
    {"-- @http GET /a\n-- @param x int[3]\nSELECT :x", 2, 13,
     "@param x: arrays have one dimension"},
    {"-- @http GET /a\n-- @param x min=1\nSELECT :x", 2, 11,
     "@param x: min= needs a type, as in \"@param x int min=1\""},
    {"-- @http GET /a\n-- @param x text max=1\nSELECT :x", 2, 11, "@param x: max= fits smallint"},
    {"-- @http GET /a\n-- @param x int maxlen=1\nSELECT :x", 2, 11,
     "@param x: maxlen= fits text, not integer"},
    {"-- @http GET /a\n-- @param x uuid pattern=a\nSELECT :x", 2, 11,
     "@param x: pattern= fits text, not uuid"},
    {"-- @http GET /a\n-- @param x json enum=1\nSELECT :x", 2, 11,
     "@param x: enum= doesn't fit json"},
    {"-- @http GET /a\n-- @param x text maxlen=0\nSELECT :x", 2, 25,
     "@param: maxlen=0 must be a whole"},
    {"-- @http GET /a\n-- @param x int min=a\nSELECT :x", 2, 11,
     "@param x: min= must be a whole number"},
    {"-- @http GET /a\n-- @param x int min=5 max=4\nSELECT :x", 2, 11,
     "@param x: min=5 is above max=4"},
    {"-- @http GET /a\n-- @param x int max=4 default=5\nSELECT :x", 2, 11,
     "@param x: default= must be a whole number from -2147483648 to 4, not \"5\""},
    {"-- @http GET /a\n-- @param x text enum=a,b default=c\nSELECT :x", 2, 11,
     "@param x: default= must be one of a, b, not \"c\""},
    {"-- @http GET /a\n-- @param x int enum=1,b\nSELECT :x", 2, 11, "@param x: enum= must be"},
    {"-- @http GET /a\n-- @param x enum=\"a\"b,c\nSELECT :x", 2, 18,
     "@param: enum=\"a\"b,c must be"},
    {"-- @http GET /a\n-- @param x enum=\nSELECT :x", 2, 13, "@param: enum= must be values"},
    {"-- @http GET /a\n-- @param x pattern=[a\nSELECT :x", 2, 11,
     "@param x: pattern= is not a POSIX extended regular expression: Unmatched ["},
    {"-- @http GET /a\n-- @param x pattern=a)(b\nSELECT :x", 2, 11,
     "@param x: pattern= a ')' has no '('"},
    {"-- @http GET /a\n-- @param x pattern=(a)\\1\nSELECT :x", 2, 11,
     "@param x: pattern= back-references are not allowed"},
    {"-- @http GET /a\n-- @param x pattern=((a{99}){99}){99}\nSELECT :x", 2, 11,
     "@param x: pattern= its repetitions are too many"},
    {"-- @http GET /a\n-- @param x pattern=a+*\nSELECT :x", 2, 11,
     "@param x: pattern= a repetition can't be repeated itself"},
    {"-- @http GET /a\nSELECT 1 -- @cache ttl=5s", 2, 10, "@cache after the statement began"},
};

static void tells_the_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(faulty); i++) {
        struct arena *arena = arena_new();
        const char *text = faulty[i].text;
        if (text[0] == '@')
            text = arena_format(arena, "-- @http GET /a\n-- %s\nSELECT 1", text);
        struct parsed parsed CLEANUP(parsed_free) = parse(text);
        const struct fault *fault = parsed.faults.faults;
        if (parsed.route || parsed.faults.count != 1 || fault->line != faulty[i].line ||
            fault->column != faulty[i].column ||
            !span_starts(span_of(fault->text), faulty[i].fault))
            fail_msg("%s\n%zu faults; %u:%u: %s", text, parsed.faults.count,
                     fault ? fault->line : 0, fault ? fault->column : 0, fault ? fault->text : "");
        arena_free(arena);
    }
}

static void tells_every_fault(void **state)
{
    struct parsed parsed CLEANUP(parsed_free) =
        parse("-- @http FETCH a\n-- @cache\n-- @nope\n-- @param 1x\nSELECT 'open, $1");
    static const unsigned lines[] = {1, 1, 2, 3, 4, 5};
    (void)state;
    fault_sort(&parsed.faults);
    assert_null(parsed.route);
    assert_int_equal(parsed.faults.count, ARRAY_COUNT(lines));
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        assert_int_equal(parsed.faults.faults[i].line, lines[i]);
}

static void refuses_nul(void **state)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    (void)state;
    assert_null(route_parse("f", SPAN_LITERAL("-- @http GET /a\nSELECT\0 1"), arena, &faults));
    assert_int_equal(faults.count, 1);
    assert_int_equal(faults.faults[0].line, 2);
    assert_int_equal(faults.faults[0].column, 7);
    assert_string_equal(faults.faults[0].text, "a NUL byte; route files are UTF-8 text");
    fault_list_free(&faults);
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(reads_a_whole_file), cmocka_unit_test(reads_a_write),
          cmocka_unit_test(reads_writes_in_batches),
          cmocka_unit_test(shares_parameters_between_statements),
          cmocka_unit_test(reads_tags_and_depends), cmocka_unit_test(accepts),
          cmocka_unit_test(tells_the_fault), cmocka_unit_test(tells_every_fault),
          cmocka_unit_test(refuses_nul))
