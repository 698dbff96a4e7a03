/* Larder's module for PostgreSQL: what the functions of sql/larder/module.sql are but the trigger.
 */
#include <postgres.h>

#include <access/xact.h>
#include <access/xlog.h>
#include <catalog/namespace.h>
#include <catalog/pg_class.h>
#include <catalog/pg_type.h>
#include <fmgr.h>
#include <funcapi.h>
#include <miscadmin.h>
#include <utils/acl.h>
#include <utils/lsyscache.h>
#include <utils/syscache.h>

#include "postgres/lines.h"
#include "postgres/pending.h"
#include "postgres/ring.h"
#include "postgres/watches.h"

/* The columns of larder_ring.take(). */
#define TAKEN 7

PG_MODULE_MAGIC;

void _PG_init(void);

void _PG_init(void)
{
    if (process_shared_preload_libraries_in_progress)
        ring_prepare();
    pending_prepare();
    watches_prepare();
}

/* Whoever may take the outbox' rows may take the ring's tags. */
static void check_right(void)
{
    Oid schema = get_namespace_oid("larder", true);
    Oid outbox = OidIsValid(schema) ? get_relname_relid("outbox", schema) : InvalidOid;
    if (!OidIsValid(outbox) || pg_class_aclcheck(outbox, GetUserId(), ACL_DELETE) != ACLCHECK_OK)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("whoever takes what changed must have the right to delete from "
                               "larder.outbox")));
}

static void check_place(void)
{
    if (RecoveryInProgress())
        ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                        errmsg("a standby has no changes to be taken")));
    if (GetCurrentTransactionNestLevel() > 1)
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("changes are taken by a transaction, not within a savepoint")));
}

PG_FUNCTION_INFO_V1(larder_ready);

Datum larder_ready(PG_FUNCTION_ARGS)
{
    (void)fcinfo;
    PG_RETURN_BOOL(ring_ready());
}

PG_FUNCTION_INFO_V1(larder_asleep);

Datum larder_asleep(PG_FUNCTION_ARGS)
{
    check_right();
    ring_sleep(PG_GETARG_BOOL(0));
    PG_RETURN_VOID();
}

/* What CREATE EXTENSION made may be older than the library, which PostgreSQL loads anew. */
static TupleDesc taken_row(FunctionCallInfo fcinfo)
{
    TupleDesc row;
    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE || row->natts != TAKEN ||
        TupleDescAttr(row, 0)->atttypid != TEXTOID)
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("larder_ring.take() is not as this version of the module has it"),
                 errhint("Run \"larder install --no-module\", make the extension larder anew, "
                         "and run \"larder install\".")));
    return BlessTupleDesc(row);
}

PG_FUNCTION_INFO_V1(larder_take);

Datum larder_take(PG_FUNCTION_ARGS)
{
    struct ring_taken taken;
    TupleDesc row;
    Datum values[TAKEN];
    bool nulls[TAKEN] = {false};
    int count;
    check_right();
    check_place();
    row = taken_row(fcinfo);
    ring_take(PG_GETARG_INT32(0), &taken);
    values[0] = PointerGetDatum(lines_of(&taken, &count));
    nulls[0] = count == 0;
    values[1] = Int32GetDatum(count);
    values[2] = BoolGetDatum(taken.more);
    values[3] = BoolGetDatum(taken.coming);
    values[4] = BoolGetDatum(taken.held);
    values[5] = BoolGetDatum(taken.lost);
    values[6] = BoolGetDatum(taken.asleep);
    nulls[6] = !taken.ring;
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(row, values, nulls)));
}
