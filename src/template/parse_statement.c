/* SPDX-License-Identifier: MIT */
/* Statements: text, outputs and tags, one function per tag. */
#include "template/parser.h"

#include "template/lexer.h"
#include "template/parser_impl.h"

#include <stdlib.h>
#include <string.h>

static dsm_status body(dsm_parser *p, const char *const *ends, dsm_node **out);

static dsm_status end_tag(dsm_parser *p)
{
    return dsm_parse_need_kind(p, DSM_TOK_TAG_END);
}

/* A body up to the tag `end`, which is read too. */
static dsm_status body_until(dsm_parser *p, const char *end, dsm_node *parent)
{
    const char *const ends[] = {end, NULL};
    dsm_node *n;
    DSM_TRY(body(p, ends, &n));
    dsm_parse_adopt(parent, n);
    p->at++; /* the word */
    return end_tag(p);
}

static dsm_status if_tag(dsm_parser *p, dsm_node **out);

/* The elif, else or endif behind the body of an `if`. */
static dsm_status rest_of_if(dsm_parser *p, dsm_node *n)
{
    if (dsm_parse_skip_word(p, "elif")) return dsm_parse_add_kid(p, n, if_tag);
    if (dsm_parse_skip_word(p, "else")) {
        DSM_TRY(end_tag(p));
        return body_until(p, "endif", n);
    }
    p->at++;
    DSM_TRY(dsm_parse_add_nothing(p, n));
    return end_tag(p);
}

static dsm_status if_tag(dsm_parser *p, dsm_node **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    dsm_node *then;
    DSM_TRY(dsm_parse_enter(p));
    DSM_TRY(dsm_parse_make(p, DSM_NODE_IF, out));
    DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_list));
    DSM_TRY(end_tag(p));
    DSM_TRY(body(p, ends, &then));
    dsm_parse_adopt(*out, then);
    DSM_TRY(rest_of_if(p, *out));
    p->depth--;
    return DSM_OK;
}

/* A name, or several with commas between and perhaps parentheses around them. */
static dsm_status target(dsm_parser *p, dsm_node **out)
{
    bool closed = dsm_parse_skip_operator(p, "(");
    DSM_TRY(dsm_parse_name(p, out));
    if (dsm_parse_is_operator(p, ",")) {
        DSM_TRY(dsm_parse_wrap(p, DSM_NODE_TUPLE, *out, out));
        while (dsm_parse_skip_operator(p, ",") && p->at->kind == DSM_TOK_NAME &&
               !dsm_parse_is_word(p, "in"))
            DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_name));
    }
    return closed ? dsm_parse_need_operator(p, ")") : DSM_OK;
}

static dsm_status for_tag(dsm_parser *p, dsm_node **out)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    DSM_TRY(dsm_parse_make(p, DSM_NODE_FOR, out));
    DSM_TRY(dsm_parse_add_kid(p, *out, target));
    if (!dsm_parse_skip_word(p, "in")) return dsm_parse_expected(p, "\"in\"");
    DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_disjunction)); /* an `if` here filters */
    if (dsm_parse_skip_word(p, "if"))
        DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_expression));
    else
        DSM_TRY(dsm_parse_add_nothing(p, *out));
    if (dsm_parse_is_word(p, "recursive"))
        return dsm_fail(p->err, DSM_EFORMAT, "%s: line %d: recursive loops are not supported",
                        p->name, p->at->line);
    DSM_TRY(end_tag(p));
    dsm_node *inside;
    p->loops++;
    DSM_TRY(body(p, ends, &inside));
    p->loops--;
    dsm_parse_adopt(*out, inside);
    if (dsm_parse_skip_word(p, "else")) {
        DSM_TRY(end_tag(p));
        return body_until(p, "endfor", *out);
    }
    p->at++;
    DSM_TRY(dsm_parse_add_nothing(p, *out));
    return end_tag(p);
}

/* What `set` assigns to: as target, or an attribute of a namespace. */
static dsm_status set_target(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(target(p, out));
    if ((*out)->kind == DSM_NODE_NAME && dsm_parse_skip_operator(p, "."))
        return dsm_parse_attribute(p, *out, out);
    return DSM_OK;
}

/* Filters around the text of a block: "| a | b". */
static dsm_status block_filters(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_CAPTURED, out));
    while (dsm_parse_skip_operator(p, "|"))
        DSM_TRY(dsm_parse_filter(p, out));
    return DSM_OK;
}

static dsm_status set_tag(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_SET, out));
    DSM_TRY(dsm_parse_add_kid(p, *out, set_target));
    if (dsm_parse_skip_operator(p, "=")) {
        DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_list));
        return end_tag(p);
    }
    (*out)->kind = DSM_NODE_SET_BLOCK;
    DSM_TRY(dsm_parse_add_kid(p, *out, block_filters));
    DSM_TRY(end_tag(p));
    return body_until(p, "endset", *out);
}

static dsm_status filter_tag(dsm_parser *p, dsm_node **out)
{
    dsm_node *filters;
    DSM_TRY(dsm_parse_make(p, DSM_NODE_FILTER_BLOCK, out));
    DSM_TRY(dsm_parse_make(p, DSM_NODE_CAPTURED, &filters));
    do
        DSM_TRY(dsm_parse_filter(p, &filters));
    while (dsm_parse_skip_operator(p, "|"));
    dsm_parse_adopt(*out, filters);
    DSM_TRY(end_tag(p));
    return body_until(p, "endfilter", *out);
}

/* "name" or "name=default". */
static dsm_status parameter(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_name(p, out));
    if (!dsm_parse_skip_operator(p, "=")) return DSM_OK;
    (*out)->kind = DSM_NODE_KEYWORD;
    return dsm_parse_add_kid(p, *out, dsm_parse_expression);
}

static dsm_status macro_tag(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_MACRO, out));
    DSM_TRY(dsm_parse_take_name(p, *out));
    DSM_TRY(dsm_parse_need_operator(p, "("));
    DSM_TRY(dsm_parse_items(p, ")", *out, parameter));
    DSM_TRY(end_tag(p));
    int loops = p->loops;
    p->loops = 0;
    DSM_TRY(body_until(p, "endmacro", *out));
    p->loops = loops;
    return DSM_OK;
}

static dsm_status generation_tag(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_GENERATION, out));
    DSM_TRY(end_tag(p));
    return body_until(p, "endgeneration", *out);
}

static dsm_status jump_tag(dsm_parser *p, dsm_node **out)
{
    bool stop = dsm_parse_spells(&p->at[-1], "break");
    if (p->loops == 0)
        return dsm_fail(p->err, DSM_EFORMAT, "%s: line %d: \"%s\" stands outside of a loop",
                        p->name, p->at->line, stop ? "break" : "continue");
    DSM_TRY(dsm_parse_make(p, stop ? DSM_NODE_BREAK : DSM_NODE_CONTINUE, out));
    return end_tag(p);
}

static const struct {
    const char *word;
    dsm_status (*rule)(dsm_parser *p, dsm_node **out);
} tags[] = {
    {"if", if_tag},       {"for", for_tag},       {"set", set_tag},
    {"macro", macro_tag}, {"filter", filter_tag}, {"generation", generation_tag},
    {"break", jump_tag},  {"continue", jump_tag},
};

static dsm_status tag(dsm_parser *p, dsm_node **out)
{
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (dsm_parse_skip_word(p, tags[i].word)) return tags[i].rule(p, out);
    if (p->at->kind != DSM_TOK_NAME) return dsm_parse_expected(p, "a tag's name");
    return dsm_fail(p->err, DSM_EFORMAT, "%s: line %d: the tag \"%.*s\" is not supported here",
                    p->name, p->at->line, (int)(p->at->n < 40 ? p->at->n : 40), p->at->text);
}

static dsm_status output(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_OUTPUT, out));
    DSM_TRY(dsm_parse_add_kid(p, *out, dsm_parse_list));
    return dsm_parse_need_kind(p, DSM_TOK_OUTPUT_END);
}

static dsm_status text(dsm_parser *p, dsm_node **out)
{
    DSM_TRY(dsm_parse_make(p, DSM_NODE_TEXT, out));
    (*out)->text = p->at->text;
    (*out)->n = p->at->n;
    p->at++;
    return DSM_OK;
}

static bool is_one_of(const dsm_parser *p, const char *const *words)
{
    for (; *words; words++)
        if (dsm_parse_is_word(p, *words)) return true;
    return false;
}

/* "found the template's end, expected endif". */
static dsm_status body_unclosed(dsm_parser *p, const char *const *ends)
{
    while (ends[1])
        ends++;
    return dsm_parse_expected(p, ends[0]);
}

/* Statements up to a tag that is one of `ends`, whose word is the next token then. ends[0] NULL: up
 * to the end of the template. */
static dsm_status body(dsm_parser *p, const char *const *ends, dsm_node **out)
{
    DSM_TRY(dsm_parse_enter(p));
    DSM_TRY(dsm_parse_make(p, DSM_NODE_BODY, out));
    for (;;) {
        if (p->at->kind == DSM_TOK_END) {
            if (ends[0]) return body_unclosed(p, ends);
            break;
        }
        if (p->at->kind == DSM_TOK_TEXT) {
            DSM_TRY(dsm_parse_add_kid(p, *out, text));
        } else if (p->at++->kind == DSM_TOK_OUTPUT_BEGIN) {
            DSM_TRY(dsm_parse_add_kid(p, *out, output));
        } else {
            if (is_one_of(p, ends)) break;
            DSM_TRY(dsm_parse_add_kid(p, *out, tag));
        }
    }
    p->depth--;
    return DSM_OK;
}

dsm_status dsm_template_parse(dsm_node **out, dsm_pool *pool, const char *source, size_t n,
                              const char *name, dsm_err *err)
{
    static const char *const no_end[] = {NULL};
    dsm_tokens tokens = {0};
    dsm_status status = dsm_template_lex(&tokens, pool, source, n, name, err);
    dsm_parser p = {.at = tokens.items, .pool = pool, .name = name, .err = err};
    if (status == DSM_OK) status = body(&p, no_end, out);
    free(tokens.items);
    return status;
}
