/* SPDX-License-Identifier: MIT */
/* Expressions: recursive descent over the grammar of jinja2 3.1, one function per rule. From the
 * loosest to the tightest: if-else, or, and, not, comparisons, + -, ~, * / // %, **, sign, then
 * what follows a value: .name [key] (arguments) | filter, and `is` test. */
#include "template/builtin.h"
#include "template/operators.h"
#include "template/parser_impl.h"

#include <string.h>

static dsm_status unary(dsm_parser *p, bool filters, dsm_node **out);

/* --- values ----------------------------------------------------------------------------------- */

/* Names that are values. */
static const struct {
    const char *name;
    dsm_val_kind kind;
    bool boolean;
} constants[] = {
    {"true", DSM_VAL_BOOL, true},   {"True", DSM_VAL_BOOL, true}, {"false", DSM_VAL_BOOL, false},
    {"False", DSM_VAL_BOOL, false}, {"none", DSM_VAL_NONE, 0},    {"None", DSM_VAL_NONE, 0},
};

static dsm_status constant(dsm_parser *p, dsm_val value, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_CONST, out));
    (*out)->value = value;
    p->at++;
    return DSM_OK;
}

static dsm_status name_or_constant(dsm_parser *p, dsm_node **out)
{
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (dsm_parse_spells(p->at, constants[i].name))
            return constant(
                p, (dsm_val){.kind = constants[i].kind, .as.boolean = constants[i].boolean}, out);
    return dsm_parse_name(p, out);
}

/* Strings that follow each other are one. */
static dsm_status string(dsm_parser *p, dsm_node **out)
{
    dsm_buf text = {0};
    const dsm_token *t = p->at;
    for (; t->kind == DSM_TOK_STRING; t++)
        dsm_buf_add(&text, t->text, t->n);
    p->at = t - 1;
    dsm_val value;
    bool made = !text.failed && dsm_val_copy_text(&value, p->pool, text.data, text.len);
    dsm_buf_free(&text);
    if (!made) return dsm_fail(p->err, DSM_ENOMEM, "%s: out of memory", p->name);
    return constant(p, value, out);
}

/* Items up to the bracket `close`, each by `rule`; a comma may stand behind the last. */
dsm_status dsm_parse_items(dsm_parser *p, const char *close, dsm_node *list,
                           dsm_status (*rule)(dsm_parser *p, dsm_node **out))
{
    while (!dsm_parse_skip_operator(p, close)) {
        if (list->n_kids > 0) DSM_TRY(dsm_parse_need_operator(p, ","));
        if (dsm_parse_skip_operator(p, close)) break;
        DSM_TRY(dsm_parse_add_kid(p, list, rule));
    }
    return DSM_OK;
}

static dsm_status list(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_LIST, out));
    p->at++;
    return dsm_parse_items(p, "]", *out, dsm_parse_expression);
}

static dsm_status dict(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_DICT, out));
    p->at++;
    while (!dsm_parse_skip_operator(p, "}")) {
        if ((*out)->n_kids > 0) DSM_TRY(dsm_parse_need_operator(p, ","));
        if (dsm_parse_skip_operator(p, "}")) break;
        DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_expression));
        DSM_TRY(dsm_parse_need_operator(p, ":"));
        DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_expression));
    }
    return DSM_OK;
}

/* "(a)" is a; "()", "(a,)" and "(a, b)" are tuples. */
static dsm_status parenthesis(dsm_parser *p, dsm_node **out)
{
    dsm_node *tuple;
    DSM_TRY(dsm_parse_make(p, DSM_NODE_TUPLE, &tuple));
    p->at++;
    DSM_TRY(dsm_parse_items(p, ")", tuple, dsm_parse_expression));
    bool comma = p->at[-2].kind == DSM_TOK_OPERATOR && dsm_parse_spells(&p->at[-2], ",");
    *out = tuple->n_kids == 1 && !comma ? tuple->first : tuple;
    return DSM_OK;
}

static dsm_status primary(dsm_parser *p, dsm_node **out)
{
    switch (p->at->kind) {
    case DSM_TOK_NAME:
        return name_or_constant(p, out);
    case DSM_TOK_STRING:
        return string(p, out);
    case DSM_TOK_INT:
        return constant(p, dsm_val_int(p->at->integer), out);
    case DSM_TOK_FLOAT:
        return constant(p, dsm_val_real(p->at->real), out);
    default:
        break;
    }
    if (dsm_parse_is_operator(p, "(")) return parenthesis(p, out);
    if (dsm_parse_is_operator(p, "[")) return list(p, out);
    if (dsm_parse_is_operator(p, "{")) return dict(p, out);
    return dsm_parse_expected(p, "a value");
}

/* --- what follows a value --------------------------------------------------------------------- */

dsm_status dsm_parse_attribute(dsm_parser *p, dsm_node *object, dsm_node **out)
{
    if (p->at->kind == DSM_TOK_INT) {
        DSM_TRY(dsm_parse_wrap(p, DSM_NODE_ITEM, object, out));
        dsm_node *key;
        DSM_TRY(constant(p, dsm_val_int(p->at->integer), &key));
        dsm_parse_adopt(*out, key);
        return DSM_OK;
    }
    DSM_TRY(dsm_parse_wrap(p, DSM_NODE_ATTR, object, out));
    return dsm_parse_take_name(p, *out);
}

/* One part of a slice, which may be left out. */
static dsm_status slice_part(dsm_parser *p, dsm_node *slice)
{
    if (dsm_parse_is_operator(p, ":") || dsm_parse_is_operator(p, "]"))
        return dsm_parse_add_nothing(p, slice);
    return dsm_parse_add_kid(p, slice, dsm_parse_expression);
}

/* object[key] or object[start:stop:step], from behind the bracket. */
static dsm_status subscript(dsm_parser *p, dsm_node *object, dsm_node **out)
{
    dsm_node *n;
    DSM_TRY(dsm_parse_wrap(p, DSM_NODE_ITEM, object, &n));
    DSM_TRY(slice_part(p, n));
    while (n->n_kids < 4 && dsm_parse_skip_operator(p, ":")) {
        n->kind = DSM_NODE_SLICE;
        DSM_TRY(slice_part(p, n));
    }
    if (n->kind == DSM_NODE_ITEM && n->last->kind == DSM_NODE_NOTHING)
        return dsm_parse_expected(p, "a key");
    while (n->kind == DSM_NODE_SLICE && n->n_kids < 4)
        DSM_TRY(dsm_parse_add_nothing(p, n));
    *out = n;
    return dsm_parse_need_operator(p, "]");
}

static dsm_status argument(dsm_parser *p, dsm_node **out)
{
    if (dsm_parse_is_operator(p, "*") || dsm_parse_is_operator(p, "**"))
        return dsm_fail(p->err, DSM_EFORMAT,
                        "%s: line %d: unpacked arguments (%.*s) are not supported", p->name,
                        p->at->line, (int)p->at->n, p->at->text);
    bool keyword = p->at->kind == DSM_TOK_NAME && p->at[1].kind == DSM_TOK_OPERATOR &&
                   dsm_parse_spells(&p->at[1], "=");
    if (!keyword) return dsm_parse_expression(p, out);
    DSM_TRY(dsm_parse_make(p, DSM_NODE_KEYWORD, out));
    DSM_TRY(dsm_parse_take_name(p, *out));
    p->at++;
    return dsm_parse_add_kid(p, *out, dsm_parse_expression);
}

/* "(arguments)" behind what takes them. */
static dsm_status arguments(dsm_parser *p, dsm_node *taker)
{
    dsm_node *list_of;
    DSM_TRY(dsm_parse_make(p, DSM_NODE_LIST, &list_of));
    DSM_TRY(dsm_parse_need_operator(p, "("));
    DSM_TRY(dsm_parse_items(p, ")", list_of, argument));
    for (dsm_node *kid = list_of->first, *next; kid; kid = next) {
        next = kid->next;
        kid->next = NULL;
        if (kid->kind != DSM_NODE_KEYWORD && taker->last && taker->last->kind == DSM_NODE_KEYWORD)
            return dsm_fail(p->err, DSM_EFORMAT,
                            "%s: line %d: an argument without a name stands behind one with a name",
                            p->name, kid->line);
        dsm_parse_adopt(taker, kid);
    }
    return DSM_OK;
}

static dsm_status postfix(dsm_parser *p, dsm_node **n)
{
    for (;;) {
        if (dsm_parse_skip_operator(p, ".")) {
            DSM_TRY(dsm_parse_attribute(p, *n, n));
        } else if (dsm_parse_skip_operator(p, "[")) {
            DSM_TRY(subscript(p, *n, n));
        } else if (dsm_parse_is_operator(p, "(")) {
            DSM_TRY(dsm_parse_wrap(p, DSM_NODE_CALL, *n, n));
            DSM_TRY(arguments(p, *n));
        } else {
            return DSM_OK;
        }
    }
}

/* "name" or "name(arguments)" of a filter around *n. */
dsm_status dsm_parse_filter(dsm_parser *p, dsm_node **n)
{
    DSM_TRY(dsm_parse_wrap(p, DSM_NODE_FILTER, *n, n));
    DSM_TRY(dsm_parse_take_name(p, *n));
    (*n)->builtin = dsm_builtin_find(dsm_filters, (*n)->text);
    return dsm_parse_is_operator(p, "(") ? arguments(p, *n) : DSM_OK;
}

/* Can a test's argument without parentheses begin here? */
static bool begins_argument(const dsm_parser *p)
{
    static const char *const words[] = {"else", "or", "and"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (dsm_parse_is_word(p, words[i])) return false;
    dsm_token_kind k = p->at->kind;
    return k == DSM_TOK_NAME || k == DSM_TOK_STRING || k == DSM_TOK_INT || k == DSM_TOK_FLOAT ||
           dsm_parse_is_operator(p, "[") || dsm_parse_is_operator(p, "{");
}

/* "[not] name [argument]" behind `is`. */
static dsm_status test(dsm_parser *p, dsm_node **n)
{
    bool negated = dsm_parse_skip_word(p, "not");
    DSM_TRY(dsm_parse_wrap(p, DSM_NODE_TEST, *n, n));
    DSM_TRY(dsm_parse_take_name(p, *n));
    (*n)->builtin = dsm_builtin_find(dsm_tests, (*n)->text);
    if (dsm_parse_is_operator(p, "(")) {
        DSM_TRY(arguments(p, *n));
    } else if (dsm_parse_is_word(p, "is")) {
        return dsm_parse_expected(p, "no second test of the same value");
    } else if (begins_argument(p)) {
        dsm_node *argument_of;
        DSM_TRY(primary(p, &argument_of));
        DSM_TRY(postfix(p, &argument_of));
        dsm_parse_adopt(*n, argument_of);
    }
    return negated ? dsm_parse_wrap(p, DSM_NODE_NOT, *n, n) : DSM_OK;
}

static dsm_status filters_and_tests(dsm_parser *p, dsm_node **n)
{
    for (;;) {
        if (dsm_parse_skip_operator(p, "|")) {
            DSM_TRY(dsm_parse_filter(p, n));
        } else if (dsm_parse_skip_word(p, "is")) {
            DSM_TRY(test(p, n));
        } else if (dsm_parse_is_operator(p, "(")) {
            DSM_TRY(dsm_parse_wrap(p, DSM_NODE_CALL, *n, n));
            DSM_TRY(arguments(p, *n));
        } else {
            return DSM_OK;
        }
    }
}

/* --- operators -------------------------------------------------------------------------------- */

static dsm_status signed_value(dsm_parser *p, bool filters, dsm_node **out)
{
    dsm_node_kind kind = dsm_parse_is_operator(p, "-") ? DSM_NODE_MINUS : DSM_NODE_PLUS;
    p->at++;
    DSM_TRY(unary(p, false, out));
    DSM_TRY(dsm_parse_wrap(p, kind, *out, out));
    DSM_TRY(postfix(p, out));
    return filters ? filters_and_tests(p, out) : DSM_OK;
}

static dsm_status unary(dsm_parser *p, bool filters, dsm_node **out)
{
    DSM_TRY(dsm_parse_enter(p));
    if (dsm_parse_is_operator(p, "-") || dsm_parse_is_operator(p, "+")) {
        DSM_TRY(signed_value(p, filters, out));
    } else {
        DSM_TRY(primary(p, out));
        DSM_TRY(postfix(p, out));
        if (filters) DSM_TRY(filters_and_tests(p, out));
    }
    p->depth--;
    return DSM_OK;
}

/* Operators of this level and tighter ones, left to right. */
static dsm_status arithmetic(dsm_parser *p, int level, dsm_node **out)
{
    if (level == DSM_TPL_LEVELS) return unary(p, true, out);
    DSM_TRY(arithmetic(p, level + 1, out));
    while (p->at->kind == DSM_TOK_OPERATOR) {
        const dsm_tpl_operator *op = dsm_tpl_operator_find(p->at->text, p->at->n, level);
        if (!op) break;
        p->at++;
        dsm_node *right;
        DSM_TRY(dsm_parse_wrap(p, DSM_NODE_BINARY, *out, out));
        (*out)->op = op;
        DSM_TRY(arithmetic(p, level + 1, &right));
        dsm_parse_adopt(*out, right);
    }
    return DSM_OK;
}

/* The comparison that stands here, behind which the parser is put; NULL: none. */
static const dsm_tpl_operator *comparison_operator(dsm_parser *p)
{
    bool negated = dsm_parse_is_word(p, "not") && p->at[1].kind == DSM_TOK_NAME &&
                   dsm_parse_spells(&p->at[1], "in");
    if (negated) p->at += 2;
    if (negated) return dsm_tpl_operator_find("not in", 6, DSM_TPL_COMPARISON);
    if (p->at->kind != DSM_TOK_OPERATOR && !dsm_parse_is_word(p, "in")) return NULL;
    const dsm_tpl_operator *op = dsm_tpl_operator_find(p->at->text, p->at->n, DSM_TPL_COMPARISON);
    if (op) p->at++;
    return op;
}

/* a < b <= c is one chain. */
static dsm_status comparison(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(arithmetic(p, 0, out));
    const dsm_tpl_operator *op = comparison_operator(p);
    if (!op) return DSM_OK;
    DSM_TRY(dsm_parse_wrap(p, DSM_NODE_COMPARE, *out, out));
    for (; op; op = comparison_operator(p)) {
        dsm_node *operand, *right;
        DSM_TRY(arithmetic(p, 0, &right));
        DSM_TRY(dsm_parse_wrap(p, DSM_NODE_OPERAND, right, &operand));
        operand->op = op;
        dsm_parse_adopt(*out, operand);
    }
    return DSM_OK;
}

static dsm_status negation(dsm_parser *p, dsm_node **out)
{
    if (!dsm_parse_skip_word(p, "not")) return comparison(p, out);
    DSM_TRY(dsm_parse_enter(p));
    DSM_TRY(negation(p, out));
    p->depth--;
    return dsm_parse_wrap(p, DSM_NODE_NOT, *out, out);
}

/* Left to right, `word` between what `rule` reads. */
static dsm_status joined(dsm_parser *p, const char *word, dsm_node_kind kind,
                         dsm_status (*rule)(dsm_parser *p, dsm_node **out), dsm_node **out)
{
    DSM_TRY(rule(p, out));
    while (dsm_parse_skip_word(p, word)) {
        DSM_TRY(dsm_parse_wrap(p, kind, *out, out));
        DSM_TRY(dsm_parse_add_kid(p, *out, rule));
    }
    return DSM_OK;
}

static dsm_status conjunction(dsm_parser *p, dsm_node **out)
{
    return joined(p, "and", DSM_NODE_AND, negation, out);
}

dsm_status dsm_parse_disjunction(dsm_parser *p, dsm_node **out)
{
    return joined(p, "or", DSM_NODE_OR, conjunction, out);
}

/* value if condition else other */
dsm_status dsm_parse_expression(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_enter(p));
    DSM_TRY(dsm_parse_disjunction(p, out));
    while (dsm_parse_skip_word(p, "if")) {
        dsm_node *value = *out;
        DSM_TRY(dsm_parse_make(p, DSM_NODE_IF_ELSE, out));
        DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_disjunction));
        dsm_parse_adopt(*out, value);
        if (dsm_parse_skip_word(p, "else"))
            DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_expression));
        else
            DSM_TRY(dsm_parse_add_nothing(p, *out));
    }
    p->depth--;
    return DSM_OK;
}

/* An expression, or several with commas between: a tuple. */
dsm_status dsm_parse_list(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_expression(p, out));
    if (!dsm_parse_is_operator(p, ",")) return DSM_OK;
    DSM_TRY(dsm_parse_wrap(p, DSM_NODE_TUPLE, *out, out));
    while (dsm_parse_skip_operator(p, ",")) {
        if (p->at->kind == DSM_TOK_TAG_END || p->at->kind == DSM_TOK_OUTPUT_END) break;
        DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_expression));
    }
    return DSM_OK;
}
