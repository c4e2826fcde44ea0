/* SPDX-License-Identifier: MIT */
/* Tests: value is name(argument). */
#include "template/builtin.h"
#include "template/operators.h"

#include <string.h>

static dsm_status answer(dsm_val *out, bool yes)
{
    *out = dsm_val_bool(yes);
    return DSM_OK;
}

/* --- of what kind ----------------------------------------------------------------------------- */

/* A test that asks nothing but the value. */
#define KIND_TEST(name, condition)                                                                 \
    static dsm_status test_##name(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)                 \
    {                                                                                              \
        (void)r;                                                                                   \
        const dsm_val *v = &c->self;                                                               \
        return answer(out, condition);                                                             \
    }

KIND_TEST(defined, v->kind != DSM_VAL_UNDEFINED)
KIND_TEST(undefined, v->kind == DSM_VAL_UNDEFINED)
KIND_TEST(none, v->kind == DSM_VAL_NONE)
KIND_TEST(boolean, v->kind == DSM_VAL_BOOL)
KIND_TEST(true, v->kind == DSM_VAL_BOOL && v->as.boolean)
KIND_TEST(false, v->kind == DSM_VAL_BOOL && !v->as.boolean)
KIND_TEST(integer, v->kind == DSM_VAL_INT)
KIND_TEST(float, v->kind == DSM_VAL_FLOAT)
KIND_TEST(number, dsm_val_is_number(v))
KIND_TEST(string, v->kind == DSM_VAL_STRING)
KIND_TEST(mapping, v->kind == DSM_VAL_DICT)
KIND_TEST(callable, v->kind == DSM_VAL_FUNCTION)
KIND_TEST(iterable, v->kind == DSM_VAL_UNDEFINED || v->kind == DSM_VAL_STRING ||
                        v->kind == DSM_VAL_SEQ || v->kind == DSM_VAL_DICT)
KIND_TEST(sequence, v->kind == DSM_VAL_STRING || v->kind == DSM_VAL_DICT ||
                        (v->kind == DSM_VAL_SEQ && v->as.seq->shape <= DSM_SEQ_RANGE))

/* --- of what value ---------------------------------------------------------------------------- */

static dsm_status remainder_of(dsm_tpl_run *r, const dsm_call *c, int64_t by, int64_t *rest)
{
    int64_t whole;
    *rest = 0;
    if (!dsm_val_as_integer(&c->self, &whole)) return dsm_call_fail(r, c, &c->self, "an integer");
    if (by == 0) return dsm_tpl_fail(r, "division by zero");
    *rest = by == -1 ? 0 : whole % by;
    return DSM_OK;
}

static dsm_status test_odd(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t rest;
    DSM_TRY(remainder_of(r, c, 2, &rest));
    return answer(out, rest != 0);
}

static dsm_status test_even(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t rest;
    DSM_TRY(remainder_of(r, c, 2, &rest));
    return answer(out, rest == 0);
}

static dsm_status test_divisibleby(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t by = 0, rest;
    DSM_TRY(dsm_arg_int(r, c, 0, &by));
    DSM_TRY(remainder_of(r, c, by, &rest));
    return answer(out, rest == 0);
}

/* Is str(self) what a string method makes of it, and does it hold a letter at all? */
static dsm_status is_in_case(dsm_tpl_run *r, const dsm_call *c, const char *same, const char *other,
                             dsm_val *out)
{
    dsm_val text, mapped, changed;
    DSM_TRY(dsm_tpl_to_text(r, &c->self, &text));
    DSM_TRY(
        dsm_builtin_call(r, dsm_builtin_find(dsm_string_methods, same), &text, c->all, &mapped));
    DSM_TRY(
        dsm_builtin_call(r, dsm_builtin_find(dsm_string_methods, other), &text, c->all, &changed));
    return answer(out, dsm_val_equal(&text, &mapped) && !dsm_val_equal(&text, &changed));
}

static dsm_status test_lower(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return is_in_case(r, c, "lower", "upper", out);
}
static dsm_status test_upper(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return is_in_case(r, c, "upper", "lower", out);
}

/* The very same object: containers by where they are, everything else by kind and value. */
static dsm_status test_sameas(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    (void)r;
    const dsm_val *a = &c->self, *b = &c->arg[0];
    bool container = a->kind == DSM_VAL_SEQ || a->kind == DSM_VAL_DICT;
    if (a->kind != b->kind) return answer(out, false);
    return answer(out, container ? a->as.seq == b->as.seq : dsm_val_equal(a, b));
}

/* --- comparisons ------------------------------------------------------------------------------ */

static dsm_status apply(dsm_tpl_run *r, const dsm_call *c, const char *sign, dsm_val *out)
{
    const dsm_tpl_operator *op = dsm_tpl_operator_find(sign, strlen(sign), DSM_TPL_COMPARISON);
    return op->apply(r, &c->self, &c->arg[0], out);
}

#define COMPARISON_TEST(name, sign)                                                                \
    static dsm_status test_##name(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)                 \
    {                                                                                              \
        return apply(r, c, sign, out);                                                             \
    }

COMPARISON_TEST(eq, "==")
COMPARISON_TEST(ne, "!=")
COMPARISON_TEST(lt, "<")
COMPARISON_TEST(le, "<=")
COMPARISON_TEST(gt, ">")
COMPARISON_TEST(ge, ">=")
COMPARISON_TEST(in, "in")

const dsm_builtin dsm_tests[] = {
    {"boolean", "", test_boolean},
    {"callable", "", test_callable},
    {"defined", "", test_defined},
    {"divisibleby", "num", test_divisibleby},
    {"eq", "other", test_eq},
    {"equalto", "other", test_eq},
    {"even", "", test_even},
    {"false", "", test_false},
    {"float", "", test_float},
    {"ge", "other", test_ge},
    {"greaterthan", "other", test_gt},
    {"gt", "other", test_gt},
    {"in", "seq", test_in},
    {"integer", "", test_integer},
    {"iterable", "", test_iterable},
    {"le", "other", test_le},
    {"lessthan", "other", test_lt},
    {"lower", "", test_lower},
    {"lt", "other", test_lt},
    {"mapping", "", test_mapping},
    {"ne", "other", test_ne},
    {"none", "", test_none},
    {"number", "", test_number},
    {"odd", "", test_odd},
    {"sameas", "other", test_sameas},
    {"sequence", "", test_sequence},
    {"string", "", test_string},
    {"true", "", test_true},
    {"undefined", "", test_undefined},
    {"upper", "", test_upper},
    {"==", "other", test_eq},
    {"!=", "other", test_ne},
    {"<", "other", test_lt},
    {"<=", "other", test_le},
    {">", "other", test_gt},
    {">=", "other", test_ge},
    {0},
};
