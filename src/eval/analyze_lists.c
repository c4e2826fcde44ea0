/* SPDX-License-Identifier: MIT */
#include "eval/analyze_lists.h"

#include <string.h>

/* --- tokens ----------------------------------------------------------------------------------- */

static bool before(const dsm_analyze_token *a, const dsm_analyze_token *b)
{
    int64_t left = a->count * b->total, right = b->count * a->total; /* shares without rounding */
    if (left != right) return left > right;
    if (a->count != b->count) return a->count > b->count;
    return a->id < b->id;
}

void dsm_tokens_offer(dsm_analyze_expert *x, const dsm_analyze_token *t, int64_t top)
{
    int at = x->n_tokens;
    while (at > 0 && before(t, &x->tokens[at - 1]))
        at--;
    if (at == top) return;
    if (x->n_tokens < top) x->n_tokens++;
    memmove(x->tokens + at + 1, x->tokens + at, sizeof *t * (size_t)(x->n_tokens - 1 - at));
    x->tokens[at] = *t;
}

/* --- examples --------------------------------------------------------------------------------- */

static dsm_analyze_example example_of(double gate, int domain, const dsm_surroundings *s,
                                      int64_t context)
{
    int64_t begin = s->at > context ? s->at - context : 0, end = s->at + context + 1;
    if (end > s->n + 1) end = s->n + 1; /* the one that follows too */
    dsm_analyze_example x = {.gate = gate, .domain = domain, .at = (int)(s->at - begin)};
    for (int64_t i = begin; i < end; i++)
        x.ids[x.n++] = i < s->n ? s->tokens[i] : s->after;
    return x;
}

bool dsm_examples_want(const dsm_analyze_expert *x, double gate, int64_t top)
{
    return x->n_examples < top || (top > 0 && gate > x->examples[top - 1].gate);
}

static void remove_example(dsm_analyze_expert *x, int at)
{
    x->n_examples--;
    memmove(x->examples + at, x->examples + at + 1,
            sizeof *x->examples * (size_t)(x->n_examples - at));
}

static void insert_example(dsm_analyze_expert *x, const dsm_analyze_example *new, int64_t top)
{
    int at = x->n_examples;
    while (at > 0 && new->gate > x->examples[at - 1].gate)
        at--;
    if (x->n_examples < top) x->n_examples++;
    memmove(x->examples + at + 1, x->examples + at,
            sizeof *x->examples * (size_t)(x->n_examples - 1 - at));
    x->examples[at] = *new;
}

void dsm_examples_offer(dsm_analyze_expert *x, double gate, int domain, const dsm_surroundings *s,
                        const dsm_analyze_options *o)
{
    for (int i = 0; i < x->n_examples; i++) {
        if (x->examples[i].ids[x->examples[i].at] != s->tokens[s->at]) continue;
        if (x->examples[i].gate >= gate) return;
        remove_example(x, i);
        break;
    }
    dsm_analyze_example new = example_of(gate, domain, s, o->context);
    insert_example(x, &new, o->top);
}
