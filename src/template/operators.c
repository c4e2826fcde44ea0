/* SPDX-License-Identifier: MIT */
#include "template/operators.h"

#include "template/text.h"

#include <math.h>
#include <string.h>

/* --- numbers ---------------------------------------------------------------------------------- */

typedef struct arithmetic {
    const char *sign;
    bool (*integers)(int64_t a, int64_t b, int64_t *out); /* false: more than 64 bits */
    double (*reals)(double a, double b);
} arithmetic;

static bool add_integers(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static bool subtract_integers(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_sub_overflow(a, b, out);
}
static bool multiply_integers(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Rounded down, as Python divides; b is not 0. */
static bool floor_integers(int64_t a, int64_t b, int64_t *out)
{
    if (b == -1) return !__builtin_sub_overflow(0, a, out);
    *out = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
    return true;
}
static bool modulo_integers(int64_t a, int64_t b, int64_t *out)
{
    int64_t rest = b == -1 ? 0 : a % b;
    *out = rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    return true;
}

/* b >= 0 */
static bool power_integers(int64_t a, int64_t b, int64_t *out)
{
    *out = 1;
    if (a == 1 || a == 0 || a == -1) {
        *out = b == 0 || (a == -1 && b % 2 == 0) ? 1 : a;
        return true;
    }
    for (; b > 0; b--)
        if (__builtin_mul_overflow(*out, a, out)) return false;
    return true;
}

static double add_reals(double a, double b)
{
    return a + b;
}
static double subtract_reals(double a, double b)
{
    return a - b;
}
static double multiply_reals(double a, double b)
{
    return a * b;
}
static double floor_reals(double a, double b)
{
    return floor(a / b);
}
static double modulo_reals(double a, double b)
{
    double rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static const arithmetic addition = {"+", add_integers, add_reals};
static const arithmetic subtraction = {"-", subtract_integers, subtract_reals};
static const arithmetic multiplication = {"*", multiply_integers, multiply_reals};
static const arithmetic floor_division = {"//", floor_integers, floor_reals};
static const arithmetic modulo = {"%", modulo_integers, modulo_reals};
static const arithmetic power = {"**", power_integers, pow};

static dsm_status no_operation(dsm_tpl_run *r, const char *sign, const dsm_val *a, const dsm_val *b)
{
    DSM_TRY(dsm_tpl_defined(r, a));
    DSM_TRY(dsm_tpl_defined(r, b));
    return dsm_tpl_fail(r, "%s and %s cannot stand around \"%s\"", dsm_val_type(a), dsm_val_type(b),
                        sign);
}

static dsm_status calculate(dsm_tpl_run *r, const arithmetic *op, const dsm_val *a,
                            const dsm_val *b, dsm_val *out)
{
    int64_t x, y, z;
    if (!dsm_val_is_number(a) || !dsm_val_is_number(b)) return no_operation(r, op->sign, a, b);
    bool divides = op == &floor_division || op == &modulo;
    if (divides && dsm_val_as_real(b) == 0) return dsm_tpl_fail(r, "division by zero");
    bool whole = dsm_val_as_integer(a, &x) && dsm_val_as_integer(b, &y);
    if (!whole || (op == &power && y < 0)) {
        *out = dsm_val_real(op->reals(dsm_val_as_real(a), dsm_val_as_real(b)));
        return DSM_OK;
    }
    if (!op->integers(x, y, &z)) return dsm_tpl_fail(r, "an integer is larger than 64 bits hold");
    *out = dsm_val_int(z);
    return DSM_OK;
}

/* --- texts and lists -------------------------------------------------------------------------- */

static dsm_status join_texts(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    dsm_buf text = {0};
    dsm_buf_add(&text, a->as.text.data, a->as.text.n);
    dsm_buf_add(&text, b->as.text.data, b->as.text.n);
    return dsm_tpl_text(r, &text, out);
}

/* Text and HTML make HTML: the text is escaped. */
static dsm_status join_safe(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    dsm_buf text = {0};
    const dsm_val *parts[2] = {a, b};
    for (int i = 0; i < 2; i++)
        if (parts[i]->safe)
            dsm_val_print(&text, parts[i]);
        else
            dsm_text_escape(&text, parts[i]->as.text.data, parts[i]->as.text.n);
    DSM_TRY(dsm_tpl_text(r, &text, out));
    out->safe = true;
    return DSM_OK;
}

static dsm_status append_all(dsm_tpl_run *r, dsm_val_seq *to, const dsm_val_seq *from)
{
    DSM_TRY(dsm_tpl_spend(r, from->n));
    for (int64_t i = 0; i < from->n; i++)
        DSM_TRY(dsm_tpl_made(r, dsm_val_push(to, &r->pool, from->items[i])));
    return DSM_OK;
}

static bool is_text(const dsm_val *v)
{
    return v->kind == DSM_VAL_STRING;
}

/* A list or a tuple. */
static bool is_list(const dsm_val *v)
{
    return v->kind == DSM_VAL_SEQ && v->as.seq->shape <= DSM_SEQ_TUPLE;
}

static dsm_status add(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    if (is_text(a) && is_text(b))
        return a->safe || b->safe ? join_safe(r, a, b, out) : join_texts(r, a, b, out);
    if (!is_list(a) || !is_list(b) || a->as.seq->shape != b->as.seq->shape)
        return calculate(r, &addition, a, b, out);
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, a->as.seq->shape, 0)));
    DSM_TRY(append_all(r, out->as.seq, a->as.seq));
    return append_all(r, out->as.seq, b->as.seq);
}

static dsm_status subtract(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    return calculate(r, &subtraction, a, b, out);
}

static dsm_status repeat_text(dsm_tpl_run *r, const dsm_val *v, int64_t times, dsm_val *out)
{
    dsm_buf text = {0};
    if (times > 0 && (int64_t)v->as.text.n > DSM_VAL_BYTES_MAX / times)
        return dsm_tpl_made(r, false);
    for (int64_t i = 0; v->as.text.n > 0 && i < times; i++)
        dsm_buf_add(&text, v->as.text.data, v->as.text.n);
    return dsm_tpl_text(r, &text, out);
}

static dsm_status repeat_list(dsm_tpl_run *r, const dsm_val_seq *s, int64_t times, dsm_val *out)
{
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, s->shape, 0)));
    for (int64_t i = 0; s->n > 0 && i < times; i++)
        DSM_TRY(append_all(r, out->as.seq, s));
    return DSM_OK;
}

static dsm_status multiply(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    int64_t times;
    const dsm_val *what = dsm_val_as_integer(a, &times) ? b : a;
    bool counted = what == b || dsm_val_as_integer(b, &times);
    if (counted && is_text(what)) return repeat_text(r, what, times, out);
    if (counted && is_list(what)) return repeat_list(r, what->as.seq, times, out);
    return calculate(r, &multiplication, a, b, out);
}

static dsm_status divide(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    if (!dsm_val_is_number(a) || !dsm_val_is_number(b)) return no_operation(r, "/", a, b);
    if (dsm_val_as_real(b) == 0) return dsm_tpl_fail(r, "division by zero");
    *out = dsm_val_real(dsm_val_as_real(a) / dsm_val_as_real(b));
    return DSM_OK;
}

static dsm_status divide_down(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    return calculate(r, &floor_division, a, b, out);
}

static dsm_status rest_of(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    if (is_text(a)) return dsm_tpl_fail(r, "formatting a string with \"%%\" is not supported");
    return calculate(r, &modulo, a, b, out);
}

static dsm_status raise_to(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    return calculate(r, &power, a, b, out);
}

static dsm_status concatenate(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    dsm_val left, right;
    DSM_TRY(dsm_tpl_to_text(r, a, &left));
    DSM_TRY(dsm_tpl_to_text(r, b, &right));
    return join_texts(r, &left, &right, out);
}

/* --- comparisons ------------------------------------------------------------------------------ */

static dsm_status spend_on(dsm_tpl_run *r, const dsm_val *a)
{
    return dsm_tpl_spend(r, dsm_val_extent_of(a).bytes / 16);
}

static dsm_status equal(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    DSM_TRY(spend_on(r, a));
    *out = dsm_val_bool(dsm_val_equal(a, b));
    return DSM_OK;
}

static dsm_status differ(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    DSM_TRY(equal(r, a, b, out));
    out->as.boolean = !out->as.boolean;
    return DSM_OK;
}

static dsm_status order_of(dsm_tpl_run *r, const char *sign, const dsm_val *a, const dsm_val *b,
                           int *order)
{
    DSM_TRY(spend_on(r, a));
    return dsm_val_compare(a, b, order) ? DSM_OK : no_operation(r, sign, a, b);
}

static dsm_status less(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    int order;
    DSM_TRY(order_of(r, "<", a, b, &order));
    *out = dsm_val_bool(order < 0);
    return DSM_OK;
}

static dsm_status at_most(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    int order;
    DSM_TRY(order_of(r, "<=", a, b, &order));
    *out = dsm_val_bool(order <= 0);
    return DSM_OK;
}

static dsm_status greater(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    return less(r, b, a, out);
}

static dsm_status at_least(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    return at_most(r, b, a, out);
}

static bool text_holds(const dsm_val *whole, const dsm_val *part)
{
    return dsm_text_find(whole->as.text.data, whole->as.text.n, 0, part->as.text.data,
                         part->as.text.n) >= 0;
}

static dsm_status holds(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    const dsm_val_seq *items;
    DSM_TRY(spend_on(r, b));
    *out = dsm_val_bool(false);
    if (is_text(b)) {
        if (!is_text(a)) return no_operation(r, "in", a, b);
        out->as.boolean = text_holds(b, a);
        return DSM_OK;
    }
    if (b->kind == DSM_VAL_DICT) {
        if (!dsm_val_hashable(a)) return no_operation(r, "in", a, b);
        out->as.boolean = dsm_val_find(b->as.dict, a) != NULL;
        return DSM_OK;
    }
    DSM_TRY(dsm_tpl_iterate(r, b, &items));
    for (int64_t i = 0; i < items->n && !out->as.boolean; i++)
        out->as.boolean = dsm_val_equal(&items->items[i], a);
    return DSM_OK;
}

static dsm_status holds_not(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out)
{
    DSM_TRY(holds(r, a, b, out));
    out->as.boolean = !out->as.boolean;
    return DSM_OK;
}

/* --- the table -------------------------------------------------------------------------------- */

static const dsm_tpl_operator table[] = {
    {"==", DSM_TPL_COMPARISON, equal},
    {"!=", DSM_TPL_COMPARISON, differ},
    {"<", DSM_TPL_COMPARISON, less},
    {"<=", DSM_TPL_COMPARISON, at_most},
    {">", DSM_TPL_COMPARISON, greater},
    {">=", DSM_TPL_COMPARISON, at_least},
    {"in", DSM_TPL_COMPARISON, holds},
    {"not in", DSM_TPL_COMPARISON, holds_not},
    {"+", 0, add},
    {"-", 0, subtract},
    {"~", 1, concatenate},
    {"*", 2, multiply},
    {"/", 2, divide},
    {"//", 2, divide_down},
    {"%", 2, rest_of},
    {"**", 3, raise_to},
};

const dsm_tpl_operator *dsm_tpl_operator_find(const char *s, size_t n, int level)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].level == level && strlen(table[i].text) == n &&
            memcmp(table[i].text, s, n) == 0)
            return &table[i];
    return NULL;
}
