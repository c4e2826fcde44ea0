/* SPDX-License-Identifier: MIT */
/* What the parser's rules share: looking at tokens, making nodes. */
#include "template/parser_impl.h"

#include <string.h>

enum { PARSE_DEPTH_MAX = 200 };

/* --- tokens ----------------------------------------------------------------------------------- */

bool dsm_parse_spells(const dsm_token *t, const char *text)
{
    return t->n == strlen(text) && memcmp(t->text, text, t->n) == 0;
}

bool dsm_parse_is_operator(const dsm_parser *p, const char *text)
{
    return p->at->kind == DSM_TOK_OPERATOR && dsm_parse_spells(p->at, text);
}

bool dsm_parse_is_word(const dsm_parser *p, const char *text)
{
    return p->at->kind == DSM_TOK_NAME && dsm_parse_spells(p->at, text);
}

bool dsm_parse_skip_operator(dsm_parser *p, const char *text)
{
    bool there = dsm_parse_is_operator(p, text);
    if (there) p->at++;
    return there;
}

bool dsm_parse_skip_word(dsm_parser *p, const char *text)
{
    bool there = dsm_parse_is_word(p, text);
    if (there) p->at++;
    return there;
}

static const char *const kind_names[] = {
    [DSM_TOK_TEXT] = "text",
    [DSM_TOK_OUTPUT_BEGIN] = "\"{{\"",
    [DSM_TOK_OUTPUT_END] = "\"}}\"",
    [DSM_TOK_TAG_BEGIN] = "\"{%\"",
    [DSM_TOK_TAG_END] = "\"%}\"",
    [DSM_TOK_NAME] = "a name",
    [DSM_TOK_STRING] = "a string",
    [DSM_TOK_INT] = "a number",
    [DSM_TOK_FLOAT] = "a number",
    [DSM_TOK_OPERATOR] = "an operator",
    [DSM_TOK_END] = "the template's end",
};

dsm_status dsm_parse_expected(dsm_parser *p, const char *what)
{
    const dsm_token *t = p->at;
    if (t->kind == DSM_TOK_NAME || t->kind == DSM_TOK_OPERATOR)
        return dsm_fail(p->err, DSM_EFORMAT, "%s: line %d: found \"%.*s\", expected %s", p->name,
                        t->line, (int)(t->n < 40 ? t->n : 40), t->text, what);
    return dsm_fail(p->err, DSM_EFORMAT, "%s: line %d: found %s, expected %s", p->name, t->line,
                    kind_names[t->kind], what);
}

dsm_status dsm_parse_need_operator(dsm_parser *p, const char *text)
{
    if (dsm_parse_skip_operator(p, text)) return DSM_OK;
    char what[8] = "\"";
    strcat(strncat(what, text, 3), "\"");
    return dsm_parse_expected(p, what);
}

dsm_status dsm_parse_need_kind(dsm_parser *p, dsm_token_kind kind)
{
    if (p->at->kind != kind) return dsm_parse_expected(p, kind_names[kind]);
    p->at++;
    return DSM_OK;
}

dsm_status dsm_parse_enter(dsm_parser *p)
{
    if (++p->depth <= PARSE_DEPTH_MAX) return DSM_OK;
    return dsm_fail(p->err, DSM_ELIMIT, "%s: line %d: nested more than %d deep", p->name,
                    p->at->line, PARSE_DEPTH_MAX);
}

/* --- nodes ------------------------------------------------------------------------------------ */

void dsm_parse_adopt(dsm_node *parent, dsm_node *kid)
{
    if (parent->last)
        parent->last->next = kid;
    else
        parent->first = kid;
    parent->last = kid;
    parent->n_kids++;
}

dsm_status dsm_parse_make(dsm_parser *p, dsm_node_kind kind, dsm_node **out)
{
    dsm_node *n = dsm_pool_take(p->pool, sizeof *n);
    *out = n;
    if (!n) return dsm_fail(p->err, DSM_ENOMEM, "%s: out of memory", p->name);
    n->kind = kind;
    n->line = p->at->line;
    return DSM_OK;
}

/* A node around `kid`, which *out may be. */
dsm_status dsm_parse_wrap(dsm_parser *p, dsm_node_kind kind, dsm_node *kid, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, kind, out));
    (*out)->line = kid->line;
    dsm_parse_adopt(*out, kid);
    return DSM_OK;
}

dsm_status dsm_parse_add_kid(dsm_parser *p, dsm_node *parent,
                             dsm_status (*rule)(dsm_parser *p, dsm_node **out))
{
    dsm_node *kid;
    DSM_TRY(rule(p, &kid));
    dsm_parse_adopt(parent, kid);
    return DSM_OK;
}

dsm_status dsm_parse_add_nothing(dsm_parser *p, dsm_node *parent)
{
    dsm_node *nothing;
    DSM_TRY(dsm_parse_make(p, DSM_NODE_NOTHING, &nothing));
    dsm_parse_adopt(parent, nothing);
    return DSM_OK;
}

/* The current token, a name, becomes the node's text. */
dsm_status dsm_parse_take_name(dsm_parser *p, dsm_node *n)
{
    if (p->at->kind != DSM_TOK_NAME) return dsm_parse_expected(p, "a name");
    n->text = dsm_pool_copy(p->pool, p->at->text, p->at->n);
    n->n = p->at->n;
    if (!n->text) return dsm_fail(p->err, DSM_ENOMEM, "%s: out of memory", p->name);
    p->at++;
    return DSM_OK;
}

dsm_status dsm_parse_name(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_NAME, out));
    return dsm_parse_take_name(p, *out);
}
