/* SPDX-License-Identifier: MIT */
/* A template as a tree. Every node has the same shape: what it is, its children in order, and a
 * text, a value or a row of a table where its kind says so. */
#ifndef DSMOE_TEMPLATE_AST_H
#define DSMOE_TEMPLATE_AST_H

#include "template/value.h"

typedef enum dsm_node_kind {
    DSM_NODE_NOTHING, /* a part that is not there */

    /* expressions */
    DSM_NODE_CONST,   /* value */
    DSM_NODE_NAME,    /* text */
    DSM_NODE_LIST,    /* items */
    DSM_NODE_TUPLE,   /* items */
    DSM_NODE_DICT,    /* key, value, key, value, … */
    DSM_NODE_NOT,     /* a */
    DSM_NODE_MINUS,   /* a */
    DSM_NODE_PLUS,    /* a */
    DSM_NODE_BINARY,  /* op; a, b */
    DSM_NODE_AND,     /* a, b */
    DSM_NODE_OR,      /* a, b */
    DSM_NODE_COMPARE, /* a, then OPERANDs */
    DSM_NODE_OPERAND, /* op; b */
    DSM_NODE_IF_ELSE, /* condition, then, else */
    DSM_NODE_ATTR,    /* object; text */
    DSM_NODE_ITEM,    /* object, key */
    DSM_NODE_SLICE,   /* object, start, stop, step */
    DSM_NODE_CALL,    /* callee, then arguments; KEYWORD for those with a name */
    DSM_NODE_KEYWORD, /* text; value */
    DSM_NODE_FILTER,  /* text, builtin; value, then arguments */
    DSM_NODE_TEST,    /* text, builtin; value, then arguments */

    /* statements */
    DSM_NODE_BODY,   /* statements */
    DSM_NODE_TEXT,   /* text */
    DSM_NODE_OUTPUT, /* expression */
    DSM_NODE_IF,     /* condition, body, else */
    DSM_NODE_FOR,    /* target, iterated, condition, body, else */
    DSM_NODE_BREAK,
    DSM_NODE_CONTINUE,
    DSM_NODE_SET,          /* target, expression */
    DSM_NODE_SET_BLOCK,    /* target, filters around CAPTURED, body */
    DSM_NODE_FILTER_BLOCK, /* filters around CAPTURED, body */
    DSM_NODE_CAPTURED,     /* the text of the block around it */
    DSM_NODE_MACRO,        /* text; parameters: NAME or KEYWORD with a default, then the body */
    DSM_NODE_GENERATION,   /* body: what the model wrote */

    DSM_NODE_KINDS
} dsm_node_kind;

typedef struct dsm_node {
    dsm_node_kind kind;
    int line;
    const char *text; /* NUL-terminated but for TEXT */
    size_t n;         /* bytes of text */
    dsm_val value;
    const struct dsm_tpl_operator *op;
    const struct dsm_builtin *builtin; /* NULL: no such filter or test, an error when it is used */
    struct dsm_node *first, *last, *next;
    int n_kids;
} dsm_node;

#endif
