/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_TEMPLATE_PARSER_H
#define DSMOE_TEMPLATE_PARSER_H

#include "template/ast.h"

/* The template's body. Nodes and texts live in the pool or in source (see lexer.h). A tag or an
 * expression outside of the subset is DSM_EFORMAT "NAME: line N: …". */
dsm_status dsm_template_parse(dsm_node **body, dsm_pool *pool, const char *source, size_t n,
                              const char *name, dsm_err *err);

#endif
