#include "unit.h"

#include <string.h>

#include "base/bytes.h"
#include "db/rule.h"

static void on_relation(void *to, uint32_t relation, bool with_children)
{
    bytes_append_format(to, "%s%u%s", ((struct bytes *)to)->size ? " " : "", relation,
                        with_children ? "*" : "");
}

static void on_column(void *to, uint32_t relation, int number)
{
    bytes_append_format(to, "%s%u.%d", ((struct bytes *)to)->size ? " " : "", relation, number);
}

static void on_function(void *to, uint32_t function)
{
    bytes_append_format(to, "%s%u()", ((struct bytes *)to)->size ? " " : "", function);
}

static void on_clock(void *to)
{
    bytes_append_text(to, " clock");
}

static void on_sample(void *to)
{
    bytes_append_text(to, " sample");
}

static const struct {
    const char *text, *seen;
} rules[] = {
    {"", ""},
    {"<>", ""},
    {"({QUERY :rtable ({RANGETBLENTRY :alias <> :rtekind 0 :relid 16399 :relkind r :inh true"
     " :selectedCols (b 8 10)}) :targetList <>})",
     "16399.1 16399.3 16399*"},
    /* From 16 on. */
    {"({QUERY :rtable ({RANGETBLENTRY :rtekind 0 :relid 7 :inh false}) :rteperminfos"
     " ({RTEPERMISSIONINFO :relid 7 :inh false :requiredPerms 2 :selectedCols (b 7)})})",
     "7 7.0 7"},
    /* Neither a subquery nor a join is a relation, whatever stands there. */
    {"{RTE :rtekind 1 :subquery {QUERY :rtable ({RTE :rtekind 0 :relid 5 :inh true})} :relid 9"
     " :inh false}",
     "5*"},
    {"{FUNCEXPR :funcid 12 :args ({OPEXPR :opno 1 :opfuncid 13} {AGGREF :aggfnoid 14}"
     " {WINDOWFUNC :winfnoid 15})}",
     "12() 13() 14() 15()"},
    {"{SQLVALUEFUNCTION :op 0 :type 1082}", " clock"},
    {"{SQLVALUEFUNCTION :op 10 :type 19}", ""},
    {"{BOOLEXPR :op 0}", ""},
    {"{RTE :rtekind 0 :relid 5 :tablesample {TABLESAMPLECLAUSE :tsmhandler 3313} :inh false}",
     " sample 5"},
    /* Names that look like fields and nodes. */
    {"{RTE :alias {ALIAS :aliasname :relid :colnames (\":relid\\ 4\" \"\\{RTE\")} :rtekind 0"
     " :relid 5 :inh false}",
     "5"},
    {"{ALIAS :aliasname \\:funcid :colnames (\"a\\ \\}b\" 77)}", ""},
    /* Cut short. */
    {"{", ""},
    {"}}{RTE :relid", ""},
    {"{RTE :rtekind 0 :relid 5 :selectedCols (b", ""},
    {"{RTE :rtekind 0 :relid 5\\", ""},
    {"{FUNCEXPR :funcid 99999999999999999999 :funcid 4294967296 :funcid -1 :funcid 1x}", ""},
};

static void tells_what_stands_in_a_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        struct bytes seen CLEANUP(bytes_free) = BYTES_EMPTY;
        const struct rule_visitor visitor = {&seen,       on_relation, on_column,
                                             on_function, on_clock,    on_sample};
        assert_true(rule_read(span_of(rules[i].text), &visitor));
        assert_string_equal(bytes_text(&seen), rules[i].seen);
    }
}

UNIT_MAIN(cmocka_unit_test(tells_what_stands_in_a_rule))
