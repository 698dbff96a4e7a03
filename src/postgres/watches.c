#include "postgres/watches.h"

#include <catalog/pg_type.h>
#include <fmgr.h>
#include <utils/array.h>
#include <utils/builtins.h>
#include <utils/fmgroids.h>
#include <utils/hsearch.h>
#include <utils/inval.h>
#include <utils/memutils.h>
#include <utils/rel.h>
#include <utils/syscache.h>

#include "postgres/pending.h"

#define STEM_MOST 4096 /* bytes */

/* Of a session: one per trigger that it has fired. */
struct kept {
    struct key {
        Oid trigger, table;
    } key;
    uint64 made; /* as `changes` was then */
    MemoryContext context;
    struct watches watches;
};

static HTAB *kept;
static uint64 changes = 1;

static void table_changed(Datum argument, Oid table)
{
    (void)argument, (void)table;
    changes++;
}

static void type_changed(Datum argument, int cache, uint32 hash)
{
    (void)argument, (void)cache, (void)hash;
    changes++;
}

void watches_prepare(void)
{
    CacheRegisterRelcacheCallback(table_changed, (Datum)0);
    CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum)0);
    CacheRegisterSyscacheCallback(CASTSOURCETARGET, type_changed, (Datum)0);
    CacheRegisterSyscacheCallback(PROCOID, type_changed, (Datum)0);
}

/* The words of the argument. */
struct reading {
    const TriggerData *data;
    MemoryContext context;
    Datum *words;
    int count, at; /* the first that is not read yet */
};

static void split(struct reading *reading)
{
    const Trigger *trigger = reading->data->tg_trigger;
    ArrayType *array;
    if (trigger->tgnargs != 1)
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("trigger \"%s\" has %d arguments where one is to stand",
                               trigger->tgname, trigger->tgnargs)));
    array = DatumGetArrayTypeP(OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(trigger->tgargs[0]),
                                                ObjectIdGetDatum(TEXTOID), Int32GetDatum(-1)));
    if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
        ereport(ERROR,
                (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                 errmsg("the argument of trigger \"%s\" is no list of words", trigger->tgname)));
    deconstruct_array(array, TEXTOID, -1, false, 'i', &reading->words, NULL, &reading->count);
}

static const char *word(struct reading *reading)
{
    if (reading->at == reading->count)
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("the argument of trigger \"%s\" ends too early",
                               reading->data->tg_trigger->tgname)));
    return TextDatumGetCString(reading->words[reading->at++]);
}

static int number(struct reading *reading)
{
    int left = reading->count - reading->at - 1;
    int value = pg_strtoint32(word(reading));
    if (value < 0 || value > left)
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("the argument of trigger \"%s\" counts %d columns where %d follow",
                               reading->data->tg_trigger->tgname, value, left)));
    return value;
}

static bool is_rows(struct reading *reading)
{
    const char *kind = word(reading);
    if (strcmp(kind, "rows") != 0 && strcmp(kind, "updates") != 0)
        ereport(ERROR,
                (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                 errmsg("trigger \"%s\" has \"%s\" where \"rows\" or \"updates\" is to stand",
                        reading->data->tg_trigger->tgname, kind)));
    return *kind == 'r';
}

static AttrNumber place_of(const struct reading *reading, const char *name)
{
    TupleDesc row = RelationGetDescr(reading->data->tg_relation);
    for (int i = 0; i < row->natts; i++)
        if (!TupleDescAttr(row, i)->attisdropped &&
            strcmp(NameStr(TupleDescAttr(row, i)->attname), name) == 0)
            return (AttrNumber)(i + 1);
    return 0;
}

static struct tag_text tag_text(const struct reading *reading, const char *stem, const char *end)
{
    struct tag_text made = {.size = strlen(stem) + strlen(end)};
    if (made.size > STEM_MOST)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("trigger \"%s\" has a tag of more than %d bytes",
                               reading->data->tg_trigger->tgname, STEM_MOST)));
    made.text = MemoryContextAlloc(reading->context, made.size + 1);
    snprintf(made.text, made.size + 1, "%s%s", stem, end);
    made.hash = pending_hash(made.text, made.size);
    return made;
}

static void read_narrow(struct reading *reading, struct narrow *ret_narrow)
{
    TupleDesc row = RelationGetDescr(reading->data->tg_relation);
    ret_narrow->place = place_of(reading, word(reading));
    if (ret_narrow->place) {
        Form_pg_attribute column = TupleDescAttr(row, ret_narrow->place - 1);
        value_way(column->atttypid, column->attcollation, reading->context, &ret_narrow->way);
    }
}

static void read_watch(struct reading *reading, struct watch *ret_watch)
{
    const char *stem;
    memset(ret_watch, 0, sizeof *ret_watch);
    ret_watch->rows = is_rows(reading);
    stem = word(reading);
    ret_watch->column_count = number(reading);
    ret_watch->columns = MemoryContextAlloc(reading->context, (Size)(ret_watch->column_count + 1) *
                                                                  sizeof *ret_watch->columns);
    for (int i = 0; i < ret_watch->column_count; i++)
        ret_watch->columns[i] = place_of(reading, word(reading));
    ret_watch->narrow_count = number(reading);
    ret_watch->narrow = MemoryContextAlloc(reading->context, (Size)(ret_watch->narrow_count + 1) *
                                                                 sizeof *ret_watch->narrow);
    for (int i = 0; i < ret_watch->narrow_count; i++)
        read_narrow(reading, &ret_watch->narrow[i]);
    ret_watch->stem = tag_text(reading, stem, "");
    ret_watch->own = tag_text(reading, stem, ret_watch->narrow_count ? "=*" : "");
}

static void read_all(struct kept *one, const TriggerData *data)
{
    struct reading reading = {.data = data, .context = one->context};
    Size most;
    split(&reading);
    most = (Size)reading.count / 4 + 1; /* a watch has four words at least */
    one->watches.count = 0;
    one->watches.items = MemoryContextAlloc(one->context, most * sizeof *one->watches.items);
    while (reading.at < reading.count)
        read_watch(&reading, &one->watches.items[one->watches.count++]);
}

static struct kept *kept_of(const TriggerData *data)
{
    const struct key key = {data->tg_trigger->tgoid, RelationGetRelid(data->tg_relation)};
    bool found;
    struct kept *one;
    if (!kept) {
        HASHCTL settings = {.keysize = sizeof(struct key),
                            .entrysize = sizeof(struct kept),
                            .hcxt = TopMemoryContext};
        kept = hash_create("larder triggers", 32, &settings, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
    one = hash_search(kept, &key, HASH_ENTER, &found);
    if (!found) {
        one->made = 0;
        one->context = NULL;
    }
    return one;
}

struct watches watches_of(const TriggerData *data)
{
    struct kept *one = kept_of(data);
    uint64 now = changes;
    if (one->made == now)
        return one->watches;
    one->made = 0; /* should it fail */
    /* A cast that is called in the midst of it may have altered a table. */
    if (one->context)
        MemoryContextSetParent(one->context, TopTransactionContext);
    one->context = NULL;
    one->context = AllocSetContextCreate(TopMemoryContext, "larder trigger", ALLOCSET_SMALL_SIZES);
    read_all(one, data);
    one->made = now;
    return one->watches;
}
