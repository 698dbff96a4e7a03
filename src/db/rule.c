#include "db/rule.h"

#include <stdlib.h>

#include "base/bytes.h"

/* What RTEs count columns from: FirstLowInvalidHeapAttributeNumber. */
#define COLUMN_OFFSET 7

/* SVFOP_LOCALTIMESTAMP_N: what comes behind it are roles and names, the same for all requests. */
#define LAST_CLOCK 8

enum node { NODE_OTHER, NODE_TABLE, NODE_PERMISSION, NODE_VALUE, NODE_SAMPLE };

static const struct node_row {
    const char *name;
    enum node node;
} node_rows[] = {
    {"RANGETBLENTRY", NODE_TABLE},          {"RTE", NODE_TABLE},
    {"RTEPERMISSIONINFO", NODE_PERMISSION}, /* from 16 on; it has the columns */
    {"SQLVALUEFUNCTION", NODE_VALUE},       {"TABLESAMPLECLAUSE", NODE_SAMPLE},
};

enum field {
    FIELD_OTHER,
    FIELD_KIND,
    FIELD_RELATION,
    FIELD_CHILDREN,
    FIELD_COLUMNS,
    FIELD_OPERATION,
    FIELD_FUNCTION
};

static const struct field_row {
    const char *name;
    enum field field;
} field_rows[] = {
    {":rtekind", FIELD_KIND},         {":relid", FIELD_RELATION},    {":inh", FIELD_CHILDREN},
    {":selectedCols", FIELD_COLUMNS}, {":op", FIELD_OPERATION},      {":funcid", FIELD_FUNCTION},
    {":opfuncid", FIELD_FUNCTION},    {":aggfnoid", FIELD_FUNCTION}, {":winfnoid", FIELD_FUNCTION},
};

/* A node whose '}' has not come yet. */
struct frame {
    enum node node;
    enum field field; /* whose value is being read */
    bool begun;       /* the value's first token was read: a ':' begins the next field */
    unsigned long kind;
    uint32_t relation;
    bool children;
};

struct reader {
    struct span text;
    size_t at;
    const struct rule_visitor *visitor;
    struct bytes frames; /* struct frame, innermost last */
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t';
}

static bool is_bracket(char byte)
{
    return byte == '(' || byte == ')' || byte == '{' || byte == '}';
}

/* A bracket, or what stands up to the next bracket or blank; a backslash hides both. */
static bool token_next(struct reader *reader, struct span *ret_token)
{
    struct span text = reader->text;
    size_t at = reader->at;
    while (at < text.size && is_blank(text.data[at]))
        at++;
    if (at == text.size)
        return false;
    size_t end = at;
    if (is_bracket(text.data[at]))
        end++;
    else
        while (end < text.size && !is_blank(text.data[end]) && !is_bracket(text.data[end]))
            end += text.data[end] == '\\' && end + 1 < text.size ? 2 : 1;
    *ret_token = (struct span){.data = text.data + at, .size = end - at};
    reader->at = end;
    return true;
}

static struct frame *frame_innermost(struct reader *reader)
{
    size_t count = reader->frames.size / sizeof(struct frame);
    return count ? (struct frame *)(void *)reader->frames.data + count - 1 : NULL;
}

static void node_begin(struct reader *reader)
{
    struct frame frame = {.node = NODE_OTHER, .begun = true};
    struct span name = {0};
    if (!token_next(reader, &name))
        return;
    for (size_t i = 0; i < ARRAY_COUNT(node_rows); i++)
        if (span_is(name, node_rows[i].name))
            frame.node = node_rows[i].node;
    if (frame.node == NODE_SAMPLE)
        reader->visitor->sample(reader->visitor->to);
    bytes_append(&reader->frames, &frame, sizeof frame);
}

static void node_end(struct reader *reader)
{
    const struct frame *frame = frame_innermost(reader);
    if (!frame)
        return;
    bool table = frame->node == NODE_PERMISSION || (frame->node == NODE_TABLE && !frame->kind);
    if (table && frame->relation)
        reader->visitor->relation(reader->visitor->to, frame->relation, frame->children);
    reader->frames.size -= sizeof *frame;
}

static enum field field_of(struct span token)
{
    for (size_t i = 0; i < ARRAY_COUNT(field_rows); i++)
        if (span_is(token, field_rows[i].name))
            return field_rows[i].field;
    return FIELD_OTHER;
}

/* The token's number; 0 when it is none. */
static unsigned long number_of(struct span token)
{
    uint64_t number;
    return span_number(token, UINT32_MAX, &number) ? (unsigned long)number : 0;
}

/* A member of a set of columns, "(b 8 9)". System columns count as the whole row. */
static void column_take(struct reader *reader, const struct frame *frame, struct span token)
{
    unsigned long number = number_of(token);
    if (!number || number > COLUMN_OFFSET + INT16_MAX || !frame->relation)
        return;
    reader->visitor->column(reader->visitor->to, frame->relation,
                            number > COLUMN_OFFSET ? (int)number - COLUMN_OFFSET : 0);
}

static void value_take(struct reader *reader, struct frame *frame, struct span token)
{
    bool table = frame->node == NODE_TABLE || frame->node == NODE_PERMISSION;
    unsigned long number = number_of(token);
    if (frame->field == FIELD_FUNCTION && number)
        reader->visitor->function(reader->visitor->to, (uint32_t)number);
    else if (frame->field == FIELD_OPERATION && frame->node == NODE_VALUE && number <= LAST_CLOCK)
        reader->visitor->clock(reader->visitor->to);
    else if (table && frame->field == FIELD_KIND)
        frame->kind = number;
    else if (table && frame->field == FIELD_RELATION)
        frame->relation = (uint32_t)number;
    else if (table && frame->field == FIELD_CHILDREN)
        frame->children = span_is(token, "true");
    else if (table && frame->field == FIELD_COLUMNS)
        column_take(reader, frame, token);
}

static void token_take(struct reader *reader, struct span token)
{
    struct frame *frame = frame_innermost(reader);
    if (span_is(token, "{")) {
        if (frame)
            frame->begun = true;
        node_begin(reader);
    } else if (span_is(token, "}")) {
        node_end(reader);
    } else if (!frame) {
        return;
    } else if (token.data[0] == ':' && frame->begun) {
        frame->field = field_of(token);
        frame->begun = false;
    } else {
        frame->begun = true;
        value_take(reader, frame, token);
    }
}

bool rule_read(struct span text, const struct rule_visitor *visitor)
{
    struct reader reader = {.text = text, .visitor = visitor};
    struct span token;
    while (!reader.frames.failed && token_next(&reader, &token))
        token_take(&reader, token);
    bool good = !reader.frames.failed;
    bytes_free(&reader.frames);
    return good;
}
