#include "postgres/value.h"

#include <access/transam.h>
#include <catalog/pg_collation.h>
#include <catalog/pg_type.h>
#include <mb/pg_wchar.h>
#include <nodes/makefuncs.h>
#include <parser/parse_coerce.h>
#include <utils/builtins.h>
#include <utils/fmgrprotos.h>
#include <utils/lsyscache.h>
#if PG_VERSION_NUM >= 160000
#include <varatt.h>
#endif

/* A longer text is replaced by its hash. */
#define TEXT_MOST 64

static Node *call_of(Oid function, Oid type, Oid collation, MemoryContext context)
{
    MemoryContext before = MemoryContextSwitchTo(context);
    List *arguments = list_make1(makeNullConst(type, -1, collation));
    FuncExpr *call =
        makeFuncExpr(function, TEXTOID, arguments, collation, collation, COERCE_EXPLICIT_CAST);
    MemoryContextSwitchTo(before);
    return (Node *)call;
}

void value_way(Oid type, Oid collation, MemoryContext context, struct value_way *ret_way)
{
    Oid base = getBaseType(type);
    bool varlena;
    CoercionPathType path;
    memset(ret_way, 0, sizeof *ret_way);
    ret_way->collation = collation;
    path = find_coercion_pathway(TEXTOID, base, COERCION_EXPLICIT, &ret_way->function);
    if (base == TEXTOID || path == COERCION_PATH_RELABELTYPE) {
        ret_way->kind = VALUE_IS_TEXT;
        return;
    }
    if (path == COERCION_PATH_FUNC) {
        ret_way->kind = VALUE_CAST;
        ret_way->arguments = get_func_nargs(ret_way->function);
        ret_way->call = call_of(ret_way->function, base, collation, context);
    } else {
        ret_way->kind = VALUE_OUTPUT;
        getTypeOutputInfo(base, &ret_way->function, &varlena);
    }
    /* What others wrote may keep more than it should where it is called for so long. */
    if (ret_way->function < FirstNormalObjectId)
        fmgr_info_cxt(ret_way->function, &ret_way->info, context);
}

static FmgrInfo *called(struct value_way *way)
{
    FmgrInfo *info;
    if (OidIsValid(way->info.fn_oid))
        return &way->info;
    info = palloc(sizeof *info);
    fmgr_info(way->function, info);
    fmgr_info_set_expr(way->call, info);
    return info;
}

static text *cast(struct value_way *way, Datum value)
{
    LOCAL_FCINFO(call, 3);
    Datum made;
    InitFunctionCallInfoData(*call, called(way), (short)way->arguments, way->collation, NULL, NULL);
    call->args[0] = (NullableDatum){.value = value};
    call->args[1] = (NullableDatum){.value = Int32GetDatum(-1)};
    call->args[2] = (NullableDatum){.value = BoolGetDatum(true)};
    made = FunctionCallInvoke(call);
    return call->isnull ? NULL : DatumGetTextPP(made);
}

text *value_text(struct value_way *way, Datum value)
{
    if (way->kind == VALUE_IS_TEXT)
        return DatumGetTextPP(value);
    if (way->kind == VALUE_CAST)
        return cast(way, value);
    return cstring_to_text(OutputFunctionCall(called(way), value));
}

/* Of other encodings than UTF-8 not all has a text in a tag. */
static bool needs_hash(const char *bytes, int size)
{
    bool utf8 = GetDatabaseEncoding() == PG_UTF8, needs = size > TEXT_MOST;
    for (int i = 0; i < size && !needs; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        needs = byte < 0x20 || byte == 0x7f || (byte > 0x7f && !utf8);
    }
    return needs;
}

void value_append(text *made, StringInfo out)
{
    if (needs_hash(VARDATA_ANY(made), (int)VARSIZE_ANY_EXHDR(made))) {
        made = DatumGetTextPP(DirectFunctionCall1(md5_text, PointerGetDatum(made)));
        appendStringInfoChar(out, '#');
    }
    appendBinaryStringInfo(out, VARDATA_ANY(made), (int)VARSIZE_ANY_EXHDR(made));
}
