/* SPDX-License-Identifier: MIT */
/* analyze against counts and cosines written down naively: routings are read window by window from
 * the network, experts are computed by plain loops; and its points against models whose config says
 * what the analysis changes. All with plain kernels: there a row's bits do not hang on how many
 * share its expert. */
#include "support/support.h"

#include "core/fs.h"
#include "dsmoe/dsmoe.h"
#include "formats/checkpoint.h"
#include "model/ctx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 300, T = 16, WINDOWS = 12, L = 3, E = 6, K = 2, D = 32, F = 8, N = WINDOWS * T };

static char *dir; /* a folder with tok, data/{a,b}, a.txt and models */

static dsm_model_config config(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = VOCAB, c.hidden_size = D, c.intermediate_size = 40, c.moe_intermediate_size = F;
    c.num_hidden_layers = L, c.num_attention_heads = 4, c.num_key_value_heads = 2, c.head_dim = 8;
    c.max_position_embeddings = 64, c.n_routed_experts = E, c.n_shared_experts = 1;
    c.num_experts_per_tok = K, c.first_k_dense_replace = 1, c.initializer_range = 0.3;
    return c;
}

/* --- files ------------------------------------------------------------------------------------ */

/* Words that two seeds draw with different frequencies. */
static const char *write_text(const char *name, uint32_t seed)
{
    static const char *const words[] = {"the", "cat", "dog", "hen", "sees", "and", "int", "x = 1;"};
    static char text[6000];
    uint32_t state = seed;
    size_t n = 0;
    while (n < sizeof text - 16) {
        state = state * 1664525u + 1013904223u;
        uint32_t draw = (state >> 24) % 16;
        n += (size_t)sprintf(text + n, "%s ", words[draw < 8 ? draw : seed % 8]);
    }
    const char *path = test_path(dir, name);
    test_write_file(path, text, n);
    return path;
}

static dsm_tokenizer *make_tokenizer(const char *path)
{
    dsm_err err;
    dsm_corpus *corpus;
    dsm_corpus_options co;
    dsm_tokenizer_train_options o;
    dsm_tokenizer *t;
    dsm_corpus_defaults(&co);
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = 280, o.n_threads = 1;
    assert_ok(dsm_corpus_open(&corpus, &path, 1, &co, &err));
    assert_ok(dsm_tokenizer_train(&t, &o, dsm_corpus_next, corpus, &err));
    dsm_corpus_close(corpus);
    assert_ok(dsm_fs_make_dirs(test_path(dir, "tok"), &err));
    assert_ok(dsm_tokenizer_save(t, test_path(dir, "tok"), &err));
    return t;
}

static void prepare(const dsm_tokenizer *t, const char *text, const char *out)
{
    dsm_err err;
    dsm_prepare_options o;
    dsm_prepare_defaults(&o);
    o.out_dir = out, o.n_threads = 1;
    assert_ok(dsm_data_prepare(t, &text, 1, &o, NULL, NULL, NULL, &err));
}

static void make_model(const char *name, const dsm_model_config *c)
{
    dsm_err err;
    char path[512], out[512], tokenizer[512];
    snprintf(path, sizeof path, "%s/%s.json", dir, name);
    snprintf(out, sizeof out, "%s/%s", dir, name);
    snprintf(tokenizer, sizeof tokenizer, "%s/tok", dir);
    assert_ok(dsm_model_config_write(c, path, "f32", &err));
    const dsm_make_options o = {.config = path,
                                .out_dir = out,
                                .dtype = "f32",
                                .tokenizer = tokenizer,
                                .seed = 5,
                                .n_threads = 1};
    assert_ok(dsm_model_make(&o, &err));
}

static dsm_analyze_options options(int threads)
{
    dsm_analyze_options o;
    dsm_analyze_defaults(&o);
    o.n_threads = threads, o.cpu_flags = 0;
    o.seq_len = T, o.sequences = WINDOWS, o.experts = true;
    o.top = 4, o.min_count = 2, o.context = 3, o.samples = 40;
    return o;
}

static void analyse(dsm_analysis *a, const char *const *data, int n, const dsm_analyze_options *o)
{
    dsm_err err;
    char path[2][512], model[512];
    dsm_analyze_source sources[2];
    snprintf(model, sizeof model, "%s/m", dir);
    for (int i = 0; i < n; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", dir, data[i]);
        sources[i] = (dsm_analyze_source){
            .domain = data[i], .path = path[i], .text = strstr(data[i], ".txt") != NULL};
    }
    assert_ok(dsm_analyze(a, model, sources, n, o, &err));
}

/* --- the naive truth -------------------------------------------------------------------------- */

/* Everything there is to know about the windows of data set a. */
static struct {
    int32_t token[N], target[N];
    int32_t pick[L][N][K];
    float gate[L][N][K], input[L][N][D];
    double entropy[L];
    dsm_model *model;
} truth;

static void copy_input(void *arg, const dsm_ctx *c, const dsm_moe_params *p, const dsm_route *r,
                       const dsm_real *x)
{
    int64_t first = *(const int64_t *)arg;
    (void)p;
    memcpy(truth.input[c->layer][first], x, sizeof *x * T * D);
    for (int64_t t = 0; t < T; t++)
        for (int e = 0; e < E; e++)
            truth.entropy[c->layer] -=
                (double)r->score[t * E + e] * log((double)r->score[t * E + e]);
}

static void run_window(dsm_net *net, int64_t first)
{
    const dsm_observer observer = {copy_input, &first};
    const dsm_route_mode plain = {0};
    dsm_losses losses = {0};
    dsm_err err;
    dsm_net_observe(net, &observer);
    assert_ok(dsm_net_step(net, truth.token + first, truth.target + first, 1, &plain, 1, &losses,
                           NULL, NULL, &err));
    for (int l = 1; l < L; l++) {
        const int32_t *pick;
        const dsm_real *gate;
        int64_t picks;
        assert_int_equal(dsm_net_routing(net, l, &pick, &gate, &picks), T);
        memcpy(truth.pick[l][first], pick, sizeof *pick * T * K);
        memcpy(truth.gate[l][first], gate, sizeof *gate * T * K);
    }
}

static void find_truth(void)
{
    dsm_err err;
    dsm_loader *loader;
    dsm_kernels kernels;
    dsm_exec exec;
    dsm_net *net;
    const dsm_source source = {test_path(dir, "a"), 1};
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = T};
    memset(&truth, 0, sizeof truth);
    assert_ok(dsm_loader_open(&loader, &source, 1, T, 0, false, &err));
    assert_ok(dsm_loader_next(loader, WINDOWS, truth.token, truth.target, NULL, &err));
    dsm_loader_close(loader);
    dsm_kernels_init(&kernels, 0);
    assert_ok(dsm_exec_init(&exec, &kernels, 1, &err));
    assert_ok(dsm_checkpoint_open(&truth.model, test_path(dir, "m"), 0, NULL, &err));
    assert_ok(dsm_net_open(&net, truth.model, &exec, &shape, &err));
    for (int64_t first = 0; first < N; first += T)
        run_window(net, first);
    dsm_net_close(net);
    dsm_exec_free(&exec);
}

static bool picked(int l, int t, int e)
{
    return truth.pick[l][t][0] == e || truth.pick[l][t][1] == e;
}

static int times_picked(int l, int e)
{
    int n = 0;
    for (int t = 0; t < N; t++)
        n += picked(l, t, e);
    return n;
}

static void near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance)) fail_msg("%.9g, expected %.9g", found, expected);
}

static int set_up(void **state)
{
    (void)state;
    dsm_model_config c = config();
    dir = test_make_dir();
    dsm_tokenizer *t = make_tokenizer(write_text("a.txt", 9));
    prepare(t, test_path(dir, "a.txt"), test_path(dir, "a"));
    prepare(t, write_text("b.txt", 6), test_path(dir, "b"));
    dsm_tokenizer_close(t);
    make_model("m", &c);
    find_truth();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dsm_model_free(truth.model);
    test_remove_dir(dir);
    return 0;
}

/* --- loads and gates -------------------------------------------------------------------------- */

static void check_experts(const dsm_analyze_layer *layer, int l)
{
    double most = 0, entropy = 0;
    for (int e = 0; e < E; e++) {
        double gate = 0, largest = 0, share = times_picked(l, e) / (double)(N * K);
        for (int t = 0; t < N; t++)
            for (int k = 0; k < K; k++)
                if (truth.pick[l][t][k] == e) {
                    gate += (double)truth.gate[l][t][k];
                    if ((double)truth.gate[l][t][k] > largest)
                        largest = (double)truth.gate[l][t][k];
                }
        assert_int_equal(layer->experts[e].count, times_picked(l, e));
        near(layer->experts[e].share, share, 1e-12);
        near(layer->experts[e].load, share * E, 1e-12);
        near(layer->experts[e].gate, gate / times_picked(l, e), 1e-6);
        near(layer->experts[e].gate_max, largest, 0);
        near(layer->domain_share[e], share, 1e-12);
        if (share > most) most = share;
        entropy -= share * log(share);
    }
    near(layer->max_vio, most * E - 1, 1e-12);
    near(layer->load_entropy, entropy, 1e-12);
}

static void loads_and_gates(void **state)
{
    (void)state;
    dsm_analysis a;
    const char *const data[] = {"a"};
    const dsm_analyze_options o = options(2);
    analyse(&a, data, 1, &o);
    assert_int_equal(a.n_layers, L - 1);
    assert_int_equal(a.tokens, N);
    for (int i = 0; i < a.n_layers; i++) {
        int l = (int)a.layers[i].layer;
        double first = 0, second = 0;
        assert_int_equal(l, i + 1);
        check_experts(&a.layers[i], l);
        for (int t = 0; t < N; t++) {
            first += (double)truth.gate[l][t][0];
            second += (double)truth.gate[l][t][1];
        }
        near(a.layers[i].gate_by_rank[0], first / N, 1e-6);
        near(a.layers[i].gate_by_rank[1], second / N, 1e-6);
        near(a.layers[i].gate_sum, (first + second) / N, 1e-6);
        near(a.layers[i].routing_entropy, truth.entropy[l] / N, 1e-5);
    }
    dsm_analysis_free(&a);
}

/* --- what experts see ------------------------------------------------------------------------- */

static int count_token(int32_t id, int l, int e)
{
    int n = 0;
    for (int t = 0; t < N; t++)
        n += truth.token[t] == id && (e < 0 || picked(l, t, e));
    return n;
}

/* Does any token of the expert stand before `last` in the order of the list without being in it? */
static void check_none_forgotten(const dsm_analyze_expert *x, int l, int e)
{
    for (int32_t id = 0; id < VOCAB; id++) {
        int count = count_token(id, l, e), total = count_token(id, l, -1);
        bool listed = false;
        for (int i = 0; i < x->n_tokens; i++)
            listed = listed || x->tokens[i].id == id;
        if (listed || count < 2) continue;
        assert_int_equal(x->n_tokens, 4);
        const dsm_analyze_token *last = &x->tokens[3];
        double mine = (double)count / total, theirs = (double)last->count / (double)last->total;
        assert_true(mine < theirs || (mine == theirs && (count < last->count ||
                                                         (count == last->count && id > last->id))));
    }
}

static void check_tokens(const dsm_analyze_expert *x, int l, int e)
{
    for (int i = 0; i < x->n_tokens; i++) {
        const dsm_analyze_token *t = &x->tokens[i];
        assert_int_equal(t->count, count_token(t->id, l, e));
        assert_int_equal(t->total, count_token(t->id, l, -1));
        double in_expert = (double)t->count / times_picked(l, e);
        near(t->lift, in_expert / ((double)t->total / N), 1e-9);
        if (i > 0) assert_true(t->lift <= x->tokens[i - 1].lift + 1e-12);
    }
    check_none_forgotten(x, l, e);
}

/* Each example is the place of its token's largest gate, and the list holds the largest of them. */
static void check_examples(const dsm_analyze_expert *x, int l, int e)
{
    for (int i = 0; i < x->n_examples; i++) {
        const dsm_analyze_example *y = &x->examples[i];
        double largest = 0, next = 0; /* of its token; of tokens that are not listed */
        int at = -1;
        for (int t = 0; t < N; t++)
            for (int k = 0; k < K; k++) {
                bool listed = false;
                if (truth.pick[l][t][k] != e) continue;
                for (int j = 0; j < x->n_examples; j++)
                    listed = listed || x->examples[j].ids[x->examples[j].at] == truth.token[t];
                double gate = (double)truth.gate[l][t][k];
                if (truth.token[t] == y->ids[y->at] && gate > largest) largest = gate, at = t;
                if (!listed && gate > next) next = gate;
            }
        assert_true(y->gate == largest && y->gate >= next);
        int begin = at % T < 3 ? at - at % T : at - 3, window_end = at - at % T + T;
        assert_int_equal(y->at, at - begin);
        for (int j = 0; j < y->n; j++)
            assert_int_equal(y->ids[j], begin + j < window_end ? truth.token[begin + j]
                                                               : truth.target[window_end - 1]);
    }
}

static void tokens_and_examples(void **state)
{
    (void)state;
    dsm_analysis a;
    const char *const data[] = {"a"};
    const dsm_analyze_options o = options(1);
    analyse(&a, data, 1, &o);
    for (int i = 0; i < a.n_layers; i++)
        for (int e = 0; e < E; e++) {
            const dsm_analyze_expert *x = &a.layers[i].experts[e];
            check_tokens(x, i + 1, e);
            check_examples(x, i + 1, e);
            assert_true(x->n_examples > 0);
        }
    dsm_analysis_free(&a);
}

/* --- overlap ---------------------------------------------------------------------------------- */

static const float *weights(const dsm_mat *m)
{
    assert_int_equal(m->dtype, DSM_F32);
    return m->data;
}

static void add_dots(double dots[3], const float *a, const float *b, int n)
{
    for (int i = 0; i < n; i++) {
        dots[0] += (double)a[i] * (double)b[i];
        dots[1] += (double)a[i] * (double)a[i];
        dots[2] += (double)b[i] * (double)b[i];
    }
}

static double weight_cosine(const dsm_ffn_params *p, int a, int b)
{
    double dots[3] = {0};
    add_dots(dots, weights(&p->gate[a]), weights(&p->gate[b]), F * D);
    add_dots(dots, weights(&p->up[a]), weights(&p->up[b]), F * D);
    add_dots(dots, weights(&p->down[a]), weights(&p->down[b]), F * D);
    return dots[0] / sqrt(dots[1] * dots[2]);
}

/* W_down (silu(W_gate x) ⊙ W_up x) */
static void answer(float *y, const dsm_ffn_params *p, int e, const float *x)
{
    const float *gate = weights(&p->gate[e]), *up = weights(&p->up[e]),
                *down = weights(&p->down[e]);
    double h[F];
    for (int f = 0; f < F; f++) {
        double g = 0, u = 0;
        for (int d = 0; d < D; d++) {
            g += (double)gate[f * D + d] * (double)x[d];
            u += (double)up[f * D + d] * (double)x[d];
        }
        h[f] = g / (1 + exp(-g)) * u;
    }
    for (int d = 0; d < D; d++) {
        double sum = 0;
        for (int f = 0; f < F; f++)
            sum += (double)down[d * F + f] * h[f];
        y[d] = (float)sum;
    }
}

/* Mean over 40 tokens that lie evenly among N. */
static double output_cosine(const dsm_ffn_params *p, int l, int a, int b)
{
    double sum = 0;
    for (int t = 0; t < N; t++) {
        float y[2][D];
        double dots[3] = {0};
        if ((t + 1) * 40 / N == t * 40 / N) continue;
        answer(y[0], p, a, truth.input[l][t]);
        answer(y[1], p, b, truth.input[l][t]);
        add_dots(dots, y[0], y[1], D);
        sum += dots[0] / sqrt(dots[1] * dots[2]);
    }
    return sum / 40;
}

static double together(int l, int a, int b)
{
    int n = 0;
    for (int t = 0; t < N; t++)
        n += picked(l, t, a) && picked(l, t, b);
    return n / sqrt((double)times_picked(l, a) * times_picked(l, b));
}

static void overlap_of_experts(void **state)
{
    (void)state;
    dsm_analysis a;
    const char *const data[] = {"a"};
    const dsm_analyze_options o = options(2);
    analyse(&a, data, 1, &o);
    assert_int_equal(a.samples, 40);
    for (int l = 1; l < L; l++) {
        const dsm_ffn_params *p = &truth.model->layers[l].moe.experts;
        const dsm_analyze_layer *layer = &a.layers[l - 1];
        double weight_sum = 0, output_sum = 0;
        for (int i = 0; i < E; i++)
            for (int j = 0; j < E; j++) {
                near(layer->weight_similarity[i * E + j], weight_cosine(p, i, j), 1e-5);
                near(layer->output_similarity[i * E + j], output_cosine(p, l, i, j), 1e-4);
                near(layer->coactivation[i * E + j], together(l, i, j), 1e-12);
                if (j < i) weight_sum += weight_cosine(p, i, j);
                if (j < i) output_sum += output_cosine(p, l, i, j);
            }
        near(layer->weight_mean, weight_sum / 15, 1e-5);
        near(layer->output_mean, output_sum / 15, 1e-4);
    }
    dsm_analysis_free(&a);
}

/* --- domains and texts ------------------------------------------------------------------------ */

static void domains_are_told_apart(void **state)
{
    (void)state;
    dsm_analysis a, one[2], text;
    const char *const data[] = {"a", "b"}, *const file[] = {"a.txt"};
    const dsm_analyze_options o = options(2);
    analyse(&a, data, 2, &o);
    assert_int_equal(a.n_domains, 2);
    for (int d = 0; d < 2; d++)
        analyse(&one[d], &data[d], 1, &o);
    for (int i = 0; i < a.n_layers; i++) {
        double distance = 0;
        for (int e = 0; e < E; e++) {
            double p = one[0].layers[i].experts[e].share, q = one[1].layers[i].experts[e].share;
            double m = (p + q) / 2;
            assert_int_equal(a.layers[i].experts[e].count,
                             one[0].layers[i].experts[e].count + one[1].layers[i].experts[e].count);
            near(a.layers[i].domain_share[e], p, 1e-12);
            near(a.layers[i].domain_share[E + e], q, 1e-12);
            distance += p * log2(p / m) / 2 + q * log2(q / m) / 2;
        }
        assert_true(distance > 1e-3);
        near(a.layers[i].domain_distance[0], 0, 1e-12);
        near(a.layers[i].domain_distance[1], distance, 1e-12);
        near(a.layers[i].domain_distance[2], distance, 1e-12);
    }
    near(a.domains[1].loss, one[1].loss, 1e-9);
    near(a.loss, (one[0].loss + one[1].loss) / 2, 1e-9);
    dsm_analysis_free(&one[1]);

    /* a text is packed as the data made of it, with BOS in front: padding is not counted */
    dsm_analyze_options all = o;
    all.sequences = 0;
    analyse(&text, file, 1, &all);
    analyse(&one[1], data, 1, &all);
    assert_in_range(text.tokens - one[1].tokens, 1, T + 1);
    int64_t picks = 0;
    for (int e = 0; e < E; e++)
        picks += text.layers[0].experts[e].count;
    assert_int_equal(picks, (int64_t)text.tokens * K);
    assert_in_range(text.bytes - one[1].bytes, 1, 20 * T);
    near(text.loss, one[1].loss, 0.1);
    dsm_analysis_free(&a);
    dsm_analysis_free(&text);
    dsm_analysis_free(&one[0]);
    dsm_analysis_free(&one[1]);
}

/* --- changed routing -------------------------------------------------------------------------- */

static double loss_of(const char *model)
{
    dsm_err err;
    dsm_eval_result r;
    const dsm_eval_options o = {.n_threads = 1, .cpu_flags = 0, .seq_len = T, .sequences = WINDOWS};
    assert_ok(dsm_eval_data(&r, test_path(dir, model), test_path(dir, "a"), &o, &err));
    double loss = r.loss;
    dsm_eval_result_free(&r);
    return loss;
}

static void points_are_models_made_so(void **state)
{
    (void)state;
    dsm_analysis a;
    const char *const data[] = {"a"};
    const double shares[] = {0, 0.05, 2.0 / 6};
    const int64_t active[] = {1, 2, 6};
    dsm_analyze_options o = options(2);
    o.experts = false, o.mask_top = shares, o.n_mask_top = 3, o.active = active, o.n_active = 3;
    o.drop_shared = true;
    analyse(&a, data, 1, &o);
    assert_int_equal(a.n_points, 8);
    double plain = loss_of("m");
    dsm_model_config c = config();
    near(a.loss, plain, 1e-12);
    near(a.points[0].loss, plain, 1e-12);
    near(a.points[1].loss, plain, 1e-12); /* 0.3 of an expert is none */
    assert_int_equal(a.points[2].masked, 2);
    assert_true(fabs(a.points[2].loss - plain) > 1e-3);
    near(a.points[3].loss, plain, 1e-12);
    c.n_shared_experts = 0, c.num_experts_per_tok = 3;
    make_model("dropped", &c);
    assert_true(a.points[4].kind == DSM_ANALYZE_DROP_SHARED && a.points[4].active == 3);
    near(a.points[4].loss, loss_of("dropped"), 1e-9);
    c = config();
    c.num_experts_per_tok = 1;
    make_model("one", &c);
    c.num_experts_per_tok = 6;
    make_model("six", &c);
    near(a.points[5].loss, loss_of("one"), 1e-9);
    near(a.points[6].loss, plain, 1e-12);
    near(a.points[7].loss, loss_of("six"), 1e-9);
    assert_true(a.layers[0].coactivation == NULL);
    dsm_analysis_free(&a);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    dsm_analysis one, more;
    const char *const data[] = {"a", "b"};
    dsm_analyze_options o = options(1);
    analyse(&one, data, 2, &o);
    for (o.n_threads = 2; o.n_threads <= 3; o.n_threads++) {
        analyse(&more, data, 2, &o);
        assert_true(one.loss == more.loss);
        for (int i = 0; i < one.n_layers; i++) {
            const dsm_analyze_layer *x = &one.layers[i], *y = &more.layers[i];
            size_t matrix = sizeof(double) * E * E;
            assert_memory_equal(x->weight_similarity, y->weight_similarity, matrix);
            assert_memory_equal(x->output_similarity, y->output_similarity, matrix);
            assert_memory_equal(x->coactivation, y->coactivation, matrix);
            assert_true(x->routing_entropy == y->routing_entropy);
            for (int e = 0; e < E; e++) {
                assert_true(x->experts[e].gate == y->experts[e].gate);
                assert_memory_equal(x->experts[e].examples, y->experts[e].examples,
                                    sizeof *x->experts->examples *
                                        (size_t)x->experts[e].n_examples);
            }
        }
        dsm_analysis_free(&more);
    }
    dsm_analysis_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_gates),           cmocka_unit_test(tokens_and_examples),
        cmocka_unit_test(overlap_of_experts),        cmocka_unit_test(domains_are_told_apart),
        cmocka_unit_test(points_are_models_made_so), cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
