#include <postgres.h>

#include <access/htup_details.h>
#include <access/xact.h>
#include <catalog/namespace.h>
#include <catalog/pg_proc.h>
#include <catalog/pg_type.h>
#include <commands/trigger.h>
#include <executor/tuptable.h>
#include <fmgr.h>
#include <utils/builtins.h>
#include <utils/datum.h>
#include <utils/lsyscache.h>
#include <utils/rel.h>
#include <utils/syscache.h>
#if PG_VERSION_NUM >= 160000
#include <varatt.h>
#endif

#include "postgres/pending.h"
#include "postgres/watches.h"

/* Values of a watch that a transaction strikes one by one; past them, all. */
#define VALUES_MOST 100

/* Bytes alone: what `=` takes for equal may have another text. */
static bool column_changed(const TriggerData *data, AttrNumber place)
{
    Form_pg_attribute column = TupleDescAttr(RelationGetDescr(data->tg_relation), place - 1);
    bool was_null, is_null;
    Datum was = slot_getattr(data->tg_trigslot, place, &was_null);
    Datum is = slot_getattr(data->tg_newslot, place, &is_null);
    if (was_null || is_null)
        return was_null != is_null;
    /* A value stored apart that the update left alone need not be fetched. */
    if (column->attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(was) && VARATT_IS_EXTERNAL_ONDISK(is) &&
        memcmp(DatumGetPointer(was), DatumGetPointer(is), VARSIZE_EXTERNAL(was)) == 0)
        return false;
    return !datum_image_eq(was, is, column->attbyval, column->attlen);
}

/* A column that is not there, which the next install will see to, is not known to be as it was. */
static bool changed(const TriggerData *data, const struct watch *watch)
{
    for (int i = 0; i < watch->column_count; i++)
        if (!watch->columns[i] || column_changed(data, watch->columns[i]))
            return true;
    for (int i = 0; i < watch->narrow_count && watch->rows; i++)
        if (!watch->narrow[i].place || column_changed(data, watch->narrow[i].place))
            return true;
    return false;
}

static void append_value(struct narrow *narrow, TupleTableSlot *row, bool alone, StringInfo out)
{
    bool is_null;
    Datum value = slot_getattr(row, narrow->place, &is_null);
    text *made = is_null ? NULL : value_text(&narrow->way, value);
    if (alone)
        appendStringInfoString(out, made ? "=" : " is null");
    else if (!made)
        appendStringInfoString(out, "null");
    if (made)
        value_append(made, out);
}

static void append_values(struct watch *watch, TupleTableSlot *row, StringInfo out)
{
    if (watch->narrow_count > 1)
        appendStringInfoChar(out, '=');
    for (int i = 0; i < watch->narrow_count; i++) {
        if (i)
            appendStringInfoChar(out, ',');
        append_value(&watch->narrow[i], row, watch->narrow_count == 1, out);
    }
}

static void strike_own(const struct watch *watch)
{
    pending_add(watch->own.text, watch->own.size, watch->own.hash);
}

static bool lacks_column(const struct watch *watch)
{
    for (int i = 0; i < watch->narrow_count; i++)
        if (!watch->narrow[i].place)
            return true;
    return false;
}

static void count_value(struct watch *watch)
{
    if (watch->transaction != pending_transaction()) {
        watch->transaction = pending_transaction();
        watch->values = 0;
    }
    watch->values++;
}

static bool is_full(const struct watch *watch)
{
    return watch->transaction == pending_transaction() && watch->values >= VALUES_MOST;
}

static void strike_value(struct watch *watch, TupleTableSlot *row)
{
    StringInfoData tag;
    uint32 hash;
    initStringInfo(&tag);
    appendBinaryStringInfo(&tag, watch->stem.text, (int)watch->stem.size);
    append_values(watch, row, &tag);
    hash = pending_hash(tag.data, (Size)tag.len);
    if (is_full(watch)) {
        if (!pending_has(tag.data, (Size)tag.len, hash))
            strike_own(watch);
    } else if (pending_add(tag.data, (Size)tag.len, hash)) {
        count_value(watch);
    }
}

static void strike_watch(const TriggerData *data, struct watch *watch)
{
    bool two = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    if (!watch->narrow_count || lacks_column(watch)) {
        strike_own(watch);
        return;
    }
    if (is_full(watch) && pending_has(watch->own.text, watch->own.size, watch->own.hash))
        return;
    if (two)
        strike_value(watch, data->tg_newslot);
    strike_value(watch, data->tg_trigslot);
}

/*
 * larder.put(text), as its owner. Who dropped the schema but not the triggers has nobody to hear of
 * changes; a function that somebody else put there must not run with the writer's rights.
 */
static Oid put_function(void)
{
    Oid schema = get_namespace_oid("larder", true);
    oidvector *types;
    Oid text_type = TEXTOID;
    HeapTuple row;
    Oid found = InvalidOid;
    if (!OidIsValid(schema))
        return InvalidOid;
    types = buildoidvector(&text_type, 1);
    row = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum("put"), PointerGetDatum(types),
                          ObjectIdGetDatum(schema));
    if (!HeapTupleIsValid(row))
        return InvalidOid;
    if (((Form_pg_proc)GETSTRUCT(row))->prosecdef)
        found = ((Form_pg_proc)GETSTRUCT(row))->oid;
    ReleaseSysCache(row);
    return found;
}

static void put(int first)
{
    char *tags = pending_for_outbox(first);
    Oid function = tags ? put_function() : InvalidOid;
    if (OidIsValid(function))
        OidFunctionCall1(function, CStringGetTextDatum(tags));
}

static void check(FunctionCallInfo fcinfo)
{
    const TriggerData *data = (const TriggerData *)fcinfo->context;
    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
        !TRIGGER_FIRED_FOR_ROW(data->tg_event))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("larder_ring.strike() is for triggers AFTER … FOR EACH ROW")));
}

PG_FUNCTION_INFO_V1(larder_strike);

Datum larder_strike(PG_FUNCTION_ARGS)
{
    const TriggerData *data = (const TriggerData *)fcinfo->context;
    struct watches watches; /* a copy: a cast that writes may have them made anew */
    int first = pending_count();
    bool update;
    check(fcinfo);
    watches = watches_of(data);
    update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    for (int i = 0; i < watches.count; i++) {
        struct watch *watch = &watches.items[i];
        if (update ? changed(data, watch) : watch->rows)
            strike_watch(data, watch);
    }
    put(first);
    return PointerGetDatum(NULL);
}
