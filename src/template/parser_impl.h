/* SPDX-License-Identifier: MIT */
/* Inside the parser: where it is, and what its rules share (parser.c). A rule reads what it stands
 * for, leaves the parser behind it, and gives a node. */
#ifndef DSMOE_TEMPLATE_PARSER_IMPL_H
#define DSMOE_TEMPLATE_PARSER_IMPL_H

#include "template/ast.h"
#include "template/lexer.h"

typedef struct dsm_parser {
    const dsm_token *at;
    dsm_pool *pool;
    int depth; /* of nesting */
    int loops; /* around this place, in the same macro */
    const char *name;
    dsm_err *err;
} dsm_parser;

typedef dsm_status (*dsm_parse_rule)(dsm_parser *p, dsm_node **out);

/* Tokens. is_…: does it stand here? skip_…: the same, and go on behind it if so. need_…: an error
 * unless it does. */
bool dsm_parse_spells(const dsm_token *t, const char *text);
bool dsm_parse_is_operator(const dsm_parser *p, const char *text);
bool dsm_parse_is_word(const dsm_parser *p, const char *text);
bool dsm_parse_skip_operator(dsm_parser *p, const char *text);
bool dsm_parse_skip_word(dsm_parser *p, const char *text);
dsm_status dsm_parse_need_operator(dsm_parser *p, const char *text);
dsm_status dsm_parse_need_kind(dsm_parser *p, dsm_token_kind kind);

/* "found THIS TOKEN, expected WHAT". */
dsm_status dsm_parse_expected(dsm_parser *p, const char *what);

/* One rule more inside of another; leave by p->depth--. */
dsm_status dsm_parse_enter(dsm_parser *p);

/* Nodes. wrap: one of this kind around `kid`, which *out may be. */
dsm_status dsm_parse_make(dsm_parser *p, dsm_node_kind kind, dsm_node **out);
dsm_status dsm_parse_wrap(dsm_parser *p, dsm_node_kind kind, dsm_node *kid, dsm_node **out);
void dsm_parse_adopt(dsm_node *parent, dsm_node *kid);
dsm_status dsm_parse_add_kid(dsm_parser *p, dsm_node *parent, dsm_parse_rule rule);
dsm_status dsm_parse_add_nothing(dsm_parser *p, dsm_node *parent);
dsm_status dsm_parse_take_name(dsm_parser *p, dsm_node *n); /* the name here becomes n's text */
dsm_status dsm_parse_name(dsm_parser *p, dsm_node **out);

/* Items up to the bracket `close`, each by `rule`; a comma may stand behind the last. */
dsm_status dsm_parse_items(dsm_parser *p, const char *close, dsm_node *list, dsm_parse_rule rule);

/* Rules of expressions that statements ask for. */
dsm_status dsm_parse_expression(dsm_parser *p, dsm_node **out);
dsm_status dsm_parse_disjunction(dsm_parser *p, dsm_node **out); /* without if-else */
dsm_status dsm_parse_list(dsm_parser *p, dsm_node **out);        /* several with commas: a tuple */
dsm_status dsm_parse_filter(dsm_parser *p, dsm_node **n);        /* name(arguments) around *n */
dsm_status dsm_parse_attribute(dsm_parser *p, dsm_node *object, dsm_node **out);

#endif
