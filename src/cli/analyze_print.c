/* SPDX-License-Identifier: MIT */
/* An analysis as tables: figures, points, a line per layer, and the experts of one layer. */
#include "cli/analyze_print.h"

#include "cli/print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    COLUMNS = 110, /* of a line of tokens */
    PARTNERS = 5,  /* experts named as alike or picked together */
    DOMAINS = 6,   /* columns of a table */
    NAME = 9,      /* characters of a domain's name in it */
    TEXT = 64      /* bytes of a quoted token */
};

void dsm_analyze_text(dsm_buf *out, const dsm_analysis *a, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++) {
        size_t length = 0;
        const char *bytes =
            a->tokenizer ? dsm_tokenizer_bytes(a->tokenizer, ids[i], &length) : NULL;
        if (length > 0)
            dsm_buf_add(out, bytes, length);
        else
            dsm_buf_fmt(out, "<%d>", ids[i]);
    }
}

/* --- figures ---------------------------------------------------------------------------------- */

static void print_head(const dsm_analysis *a, const dsm_analyze_view *v)
{
    printf("model          %s: %d MoE layers of %lld experts, %lld per token, %lld shared\n",
           v->model, a->n_layers, (long long)a->n_experts, (long long)a->active,
           (long long)a->n_shared);
    printf("looked at      %s tokens, %s bytes of text, windows of %lld\n",
           dsm_print_count((double)a->tokens), dsm_print_count((double)a->bytes),
           (long long)a->seq_len);
    printf("loss           %.4f nats per token, perplexity %.3f, %.4f bits per byte\n", a->loss,
           a->perplexity, a->bits_per_byte);
}

static void print_domains(const dsm_analysis *a)
{
    if (a->n_domains < 2) return;
    printf("\ndomain                  tokens    loss  perplexity  bits/byte\n");
    for (int i = 0; i < a->n_domains; i++) {
        const dsm_analyze_domain *d = &a->domains[i];
        printf("%-20s %9llu  %6.4f  %10.3f     %6.4f\n", d->name, (unsigned long long)d->tokens,
               d->loss, d->perplexity, d->bits_per_byte);
    }
}

static void print_point(const dsm_analysis *a, const dsm_analyze_point *p)
{
    char x[32];
    if (p->kind == DSM_ANALYZE_DROP_SHARED)
        snprintf(x, sizeof x, "%s", p->shared ? "kept" : "dropped");
    else
        snprintf(x, sizeof x, "%.4g", p->x);
    printf("%10s  %6lld  %6lld  %7.4f  %+8.4f  %10.3f     %6.4f\n", x, (long long)p->masked,
           (long long)p->active, p->loss, p->loss - a->loss, p->perplexity, p->bits_per_byte);
}

static void print_points(const dsm_analysis *a)
{
    static const struct {
        const char *title, *column;
    } kinds[DSM_ANALYZE_N_KINDS] = {
        [DSM_ANALYZE_MASK_TOP] = {"the most probable routed experts of every token masked",
                                  "share"},
        [DSM_ANALYZE_DROP_SHARED] = {"as many routed experts more instead of the shared ones",
                                     "shared"},
        [DSM_ANALYZE_ACTIVE] = {"other numbers of routed experts per token", "active"},
    };
    for (int i = 0; i < a->n_points; i++) {
        const dsm_analyze_point *p = &a->points[i];
        if (i == 0 || p->kind != p[-1].kind)
            printf("\n%s\n%10s  masked  active     loss    change  perplexity  bits/byte\n",
                   kinds[p->kind].title, kinds[p->kind].column);
        print_point(a, p);
    }
}

/* --- layers ----------------------------------------------------------------------------------- */

static double mean_distance(const dsm_analysis *a, const dsm_analyze_layer *l)
{
    double sum = 0;
    int n = a->n_domains;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            sum += l->domain_distance[i * n + j];
    return n > 1 ? sum / (n * (n - 1) / 2) : 0;
}

static void print_layers(const dsm_analysis *a, const dsm_analyze_view *v)
{
    bool several = a->n_domains > 1;
    printf("\n%21s%-13s  gates", "", "entropy of");
    if (v->experts) printf("%9scosine of", "");
    if (several) printf("%9sdomains", "");
    printf("\nlayer  MaxVio  dead  load  routing  first    sum%s%s\n",
           v->experts ? "  weights  outputs" : "", several ? "    apart" : "");
    for (int i = 0; i < a->n_layers; i++) {
        const dsm_analyze_layer *l = &a->layers[i];
        printf("%5lld  %6.3f  %4lld  %4.2f  %7.2f  %5.3f  %5.3f", (long long)l->layer, l->max_vio,
               (long long)l->dead, l->load_entropy, l->routing_entropy, l->gate_by_rank[0],
               l->gate_sum);
        if (v->experts) printf("  %7.4f  %7.4f", l->weight_mean, l->output_mean);
        if (several) printf("  %7.3f", mean_distance(a, l));
        putchar('\n');
    }
    printf("entropies in nats, ln %lld = %.2f\n", (long long)a->n_experts,
           log((double)a->n_experts));
    if (several)
        printf("domains apart: Jensen-Shannon divergence of their loads, bits, mean over pairs\n");
}

/* --- experts of one layer ------------------------------------------------------------------- */

static int print_token(const dsm_analysis *a, const dsm_analyze_token *t)
{
    char quoted[TEXT];
    dsm_buf text = {0};
    dsm_analyze_text(&text, a, &t->id, 1);
    dsm_print_quoted(text.data ? text.data : "", text.len, quoted, sizeof quoted);
    dsm_buf_free(&text);
    return printf("  %s %.1f", quoted, t->lift);
}

/* Shares of domains as multiples of an even share. */
static int print_preferences(const dsm_analysis *a, const dsm_analyze_layer *l, int64_t e)
{
    int n = 0;
    for (int d = 0; a->n_domains > 1 && d < a->n_domains && d < DOMAINS; d++)
        n += printf("  %*.2f", NAME, l->domain_share[d * a->n_experts + e] * (double)a->n_experts);
    return n;
}

static void print_expert_line(const dsm_analysis *a, const dsm_analyze_layer *l, int64_t e)
{
    const dsm_analyze_expert *x = &l->experts[e];
    int n = printf("%6lld  %5.2f  %5.3f", (long long)e, x->load, x->gate);
    n += print_preferences(a, l, e);
    for (int i = 0; i < x->n_tokens && n < COLUMNS - 10; i++)
        n += print_token(a, &x->tokens[i]);
    putchar('\n');
}

static void print_expert_lines(const dsm_analysis *a, const dsm_analyze_layer *l)
{
    printf("\nexperts of layer %lld: load and domains as multiples of an even share, mean gate, "
           "tokens by lift\nexpert   load   gate",
           (long long)l->layer);
    for (int d = 0; a->n_domains > 1 && d < a->n_domains && d < DOMAINS; d++)
        printf("  %*.*s", NAME, NAME, a->domains[d].name);
    printf("  tokens\n");
    for (int64_t e = 0; e < a->n_experts; e++)
        print_expert_line(a, l, e);
}

/* The experts with the largest figures in row e of a matrix. */
static void print_partners(const char *title, const double *matrix, int64_t E, int64_t e)
{
    const double *row = matrix + e * E;
    double last = INFINITY;
    int64_t at = -1;
    printf("%-28s", title);
    for (int n = 0; n < PARTNERS && n < E - 1; n++) {
        int64_t best = -1; /* the next in falling order, ties by number */
        for (int64_t i = 0; i < E; i++)
            if (i != e && (row[i] < last || (row[i] == last && i > at)) &&
                (best < 0 || row[i] > row[best]))
                best = i;
        if (best < 0) break;
        at = best, last = row[best];
        printf("  %lld (%.3f)", (long long)best, row[best]);
    }
    putchar('\n');
}

static void print_example(const dsm_analysis *a, const dsm_analyze_example *x)
{
    const int part[3][2] = {{0, x->at}, {x->at, 1}, {x->at + 1, x->n - x->at - 1}};
    char quoted[3][256];
    for (int i = 0; i < 3; i++) {
        dsm_buf text = {0};
        dsm_analyze_text(&text, a, x->ids + part[i][0], part[i][1]);
        dsm_print_quoted(text.data ? text.data : "", text.len, quoted[i], sizeof quoted[i]);
        dsm_buf_free(&text);
        quoted[i][strlen(quoted[i]) - 1] = '\0'; /* without the quotes */
    }
    printf("  %5.3f  %-*.*s  %s[%s]%s\n", x->gate, NAME, NAME, a->domains[x->domain].name,
           quoted[0] + 1, quoted[1] + 1, quoted[2] + 1);
}

static void print_expert(const dsm_analysis *a, const dsm_analyze_layer *l, int64_t e)
{
    const dsm_analyze_expert *x = &l->experts[e];
    int64_t E = a->n_experts;
    printf("\nlayer %lld, expert %lld: %lld tokens, %.2f of an even share; gate %.3f in the mean, "
           "%.3f at most\n",
           (long long)l->layer, (long long)e, (long long)x->count, x->load, x->gate, x->gate_max);
    for (int d = 0; a->n_domains > 1 && d < a->n_domains; d++)
        printf("  %-26s  %.2f of an even share\n", a->domains[d].name,
               l->domain_share[d * E + e] * (double)E);
    print_partners("picked together with", l->coactivation, E, e);
    print_partners("outputs most like those of", l->output_similarity, E, e);
    print_partners("weights most like those of", l->weight_similarity, E, e);
    printf("\n     lift   count      of  token\n");
    for (int i = 0; i < x->n_tokens; i++) {
        char quoted[TEXT];
        dsm_buf text = {0};
        dsm_analyze_text(&text, a, &x->tokens[i].id, 1);
        dsm_print_quoted(text.data ? text.data : "", text.len, quoted, sizeof quoted);
        dsm_buf_free(&text);
        printf("  %7.2f  %6lld  %6lld  %s\n", x->tokens[i].lift, (long long)x->tokens[i].count,
               (long long)x->tokens[i].total, quoted);
    }
    printf("\n   gate  domain     where it had most weight\n");
    for (int i = 0; i < x->n_examples; i++)
        print_example(a, &x->examples[i]);
}

static const dsm_analyze_layer *chosen(const dsm_analysis *a, const dsm_analyze_view *v)
{
    for (int i = 0; i < a->n_layers; i++)
        if (a->layers[i].layer == v->layer) return &a->layers[i];
    return &a->layers[a->n_layers - 1];
}

void dsm_analyze_print(const dsm_analysis *a, const dsm_analyze_view *v)
{
    print_head(a, v);
    print_domains(a);
    print_points(a);
    print_layers(a, v);
    if (!v->experts) return;
    if (v->expert >= 0)
        print_expert(a, chosen(a, v), v->expert);
    else
        print_expert_lines(a, chosen(a, v));
}
