/* SPDX-License-Identifier: MIT */
/* What the experts of a model do: how work is shared, what each of them sees, how alike they are,
 * and what the model loses when experts are masked, dropped or fewer (DeepSeekMoE, arXiv
 * 2401.06066, section 4.5). */
#ifndef DSMOE_ANALYZE_H
#define DSMOE_ANALYZE_H

#include "dsmoe/status.h"
#include "dsmoe/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to look at. Sources of one name are one domain: a language, code. */
typedef struct dsm_analyze_source {
    const char *domain; /* NULL: the path */
    const char *path;   /* a prepared data set, or with `text` what a corpus may be made of */
    bool text;
} dsm_analyze_source;

enum { DSM_ANALYZE_CONTEXT = 16, DSM_ANALYZE_SOURCES = 64, DSM_ANALYZE_POINTS = 64 };

typedef struct dsm_analyze_options {
    int n_threads;          /* 0: all cores */
    unsigned cpu_flags;     /* dsm_runtime_cpu_flags() */
    int64_t seq_len;        /* tokens of a window; 0: the model's context, at most 2048 */
    int64_t sequences;      /* of each source, from its start; 0: all */
    bool experts;           /* what each expert sees, and how alike they are */
    const double *mask_top; /* (n_mask_top) shares of the routed experts */
    int n_mask_top;
    const int64_t *active; /* (n_active) routed experts per token */
    int n_active;
    bool drop_shared;  /* without shared experts, as many routed ones more */
    int64_t top;       /* tokens and examples listed of each expert, 10 */
    int64_t min_count; /* a token is listed if the expert saw it this often; 0: a thousandth of all
                          it saw, at least 5 */
    int64_t context;   /* tokens on each side of an example, 8; at most DSM_ANALYZE_CONTEXT */
    int64_t samples;   /* tokens on which the outputs of all experts are compared, 256 */
    void (*progress)(void *arg, double done, double total); /* in sequences; may be NULL */
    void *progress_arg;
} dsm_analyze_options;

void dsm_analyze_defaults(dsm_analyze_options *o);

typedef enum dsm_analyze_kind {
    DSM_ANALYZE_MASK_TOP,    /* figure 4: no token may use its x·E most probable experts */
    DSM_ANALYZE_DROP_SHARED, /* x = 1: as many routed experts more instead of the shared ones */
    DSM_ANALYZE_ACTIVE,      /* figure 5: x routed experts per token */
    DSM_ANALYZE_N_KINDS
} dsm_analyze_kind;

extern const char *const dsm_analyze_kinds[DSM_ANALYZE_N_KINDS]; /* "mask_top", … */

/* The model's loss when its routing is changed; weights stay as trained, gates are those that the
 * router gives the experts picked. */
typedef struct dsm_analyze_point {
    dsm_analyze_kind kind;
    double x;
    int64_t active, masked; /* routed experts per token, and those no token may pick */
    bool shared;            /* with the shared experts */
    double loss, perplexity, bits_per_byte;
} dsm_analyze_point;

typedef struct dsm_analyze_domain {
    char *name;
    uint64_t tokens, bytes;
    double loss, perplexity, bits_per_byte;
} dsm_analyze_domain;

/* A token and how an expert prefers it: lift = P(token | expert) / P(token). */
typedef struct dsm_analyze_token {
    int32_t id;
    int64_t count, total; /* that this expert saw, and in all */
    double lift;
} dsm_analyze_token;

/* A place where an expert had much weight: ids[at] was routed, the others stand around it. */
typedef struct dsm_analyze_example {
    double gate;
    int domain;
    int at, n;
    int32_t ids[2 * DSM_ANALYZE_CONTEXT + 1];
} dsm_analyze_example;

typedef struct dsm_analyze_expert {
    int64_t count;                 /* tokens that picked it */
    double share;                  /* of all picks */
    double load;                   /* as a multiple of an even share */
    double gate;                   /* mean over those tokens */
    double gate_max;               /* largest */
    dsm_analyze_token *tokens;     /* (n_tokens) by falling lift */
    dsm_analyze_example *examples; /* (n_examples) by falling gate, of different tokens */
    int n_tokens, n_examples;
} dsm_analyze_expert;

typedef struct dsm_analyze_layer {
    int64_t layer;
    double max_vio;          /* (largest load - mean) / mean */
    int64_t dead;            /* experts no token picked */
    double load_entropy;     /* of the shares, nats; ln E: even */
    double routing_entropy;  /* of the router's scores, mean over tokens, nats */
    double *gate_by_rank;    /* (K) mean gate of the first pick, of the second, … */
    double gate_sum;         /* mean over tokens of the sum */
    double *domain_share;    /* (n_domains, E) share of a domain's picks */
    double *domain_distance; /* (n_domains, n_domains) Jensen-Shannon divergence of those, bits */
    dsm_analyze_expert *experts; /* (E) */

    /* With `experts`; NULL without. (E, E), symmetric, 1 on the diagonal: */
    double *coactivation;            /* n_ij / sqrt(n_i n_j) of n_ij tokens that picked both */
    double *weight_similarity;       /* cosine of all weights of two experts */
    double *output_similarity;       /* cosine of their outputs for a token, mean over samples */
    double weight_mean, output_mean; /* over pairs */
} dsm_analyze_layer;

typedef struct dsm_analysis {
    uint64_t tokens, bytes;
    int64_t seq_len;
    double loss, perplexity, bits_per_byte; /* of the model as it is */
    int64_t n_experts, n_shared, active;    /* E, shared ones, K */
    int64_t samples;                        /* tokens behind output_similarity */
    int n_points, n_domains, n_layers;
    dsm_analyze_point *points;   /* (n_points) in the order of the kinds, as asked for */
    dsm_analyze_domain *domains; /* (n_domains) */
    dsm_analyze_layer *layers;   /* (n_layers) MoE layers */
    dsm_tokenizer *tokenizer;    /* to read the ids with; NULL if neither model nor data has one */
    struct dsm_arena *memory;    /* owner of all of it but the tokenizer */
} dsm_analysis;

/* Run the model over the sources once, and once more for every point that changes anything.
 * Results do not depend on threads.
 *
 * Errors: a model without routed experts (DSM_EUSAGE), points that a router cannot follow, those of
 * opening model, data and text, data of another tokenizer. */
dsm_status dsm_analyze(dsm_analysis *a, const char *model, const dsm_analyze_source *sources,
                       int n_sources, const dsm_analyze_options *o, dsm_err *err);
void dsm_analysis_free(dsm_analysis *a); /* accepts a zeroed struct */

#ifdef __cplusplus
}
#endif
#endif
