/* SPDX-License-Identifier: MIT */
/* configs/paper against what the papers print: parameters, FLOPs of a sequence, training settings.
 *
 * One row per configuration. A figure is the text that is printed, so its last digit is its
 * precision; where ours is known to differ, the difference stands beside it and `why` explains it.
 * docs/plan.md has the same rows as a table, which is compared here. */
#include "support/papers.h"

#include "dsmoe/plan.h"
#include "train/schedule.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGS TEST_SOURCE_DIR "/configs/paper/"

typedef struct printed {
    const char *text; /* NULL: not printed */
    double off;       /* ours minus printed, if that is more than rounding */
} printed;

/* Which of our counts the paper means. */
typedef enum counting {
    ALL,     /* all parameters; nominal FFN widths */
    ROUNDED, /* all parameters; FFN widths as they are */
    NO_EMBED /* active parameters without the input embedding */
} counting;

typedef struct paper {
    const char *config;
    counting counting;
    int64_t T;
    printed params, active; /* 1e9 */
    printed flops;          /* 1e12 for T tokens */
    const char *why;
} paper;

/* clang-format off */
#define P(text)        {text, 0}
#define OFF(text, off) {text, off}
#define NONE           {NULL, 0}

static const paper papers[] = {
    {"dense-0.2b",             ALL,      2048, P("0.2"),           P("0.2"),           P("2.9"),            ""},
    {"hash-2b",                ALL,      2048, P("2.0"),           P("0.2"),           P("2.9"),            ""},
    {"switch-2b",              ALL,      2048, P("2.0"),           P("0.2"),           P("2.9"),            ""},
    {"gshard-2b",              ALL,      2048, P("2.0"),           P("0.3"),           P("4.3"),            ""},
    {"gshard-x1.2",            ALL,      2048, NONE,               NONE,               NONE,                "only its experts are printed, below"},
    {"gshard-x1.5",            ALL,      2048, P("2.9"),           NONE,               P("5.8"),            ""},
    {"dense-x4",               ALL,      2048, NONE,               NONE,               NONE,                "only its FFNs are printed, below"},
    {"dense-x16",              ALL,      2048, NONE,               NONE,               P("24.6"),           ""},
    {"deepseekmoe-2b",         ALL,      2048, P("2.0"),           P("0.3"),           P("4.3"),            ""},
    {"deepseekmoe-2b-coarse",  ALL,      2048, P("2.0"),           P("0.3"),           NONE,                ""},
    {"deepseekmoe-2b-fine",    ALL,      2048, P("2.0"),           P("0.3"),           NONE,                ""},
    {"deepseekmoe-2b-shared2", ALL,      2048, P("2.0"),           P("0.3"),           NONE,                ""},
    {"deepseekmoe-2b-shared4", ALL,      2048, P("2.0"),           P("0.3"),           NONE,                ""},
    {"deepseekmoe-2b-half",    ALL,      2048, P("2.0"),           NONE,               NONE,                ""},
    {"deepseekmoe-13b",        ALL,      2048, P("13.3"),          P("2.05"),          NONE,                "layers and widths are deduced from these figures"},
    {"gshard-13b-x1.2",        ALL,      2048, P("15.9"),          P("2.37"),          NONE,                "as above"},
    {"gshard-13b-x1.5",        ALL,      2048, P("19.8"),          OFF("2.82", 0.033), NONE,                "as above; 2.85 would fit the other five"},
    {"deepseekmoe-16b",        ALL,      4096, P("16.4"),          P("2.8"),           P("74.4"),           ""},
    {"deepseekmoe-145b",       ROUNDED,  4096, P("144.6"),         P("22.2"),          OFF("585.6", -0.11), "width 1408 in all 62 layers; 0.02 % stay open"},
    {"deepseekmoe-142b-half",  ROUNDED,  4096, OFF("142.3", 0.07), OFF("12.2", 1.41),  P("374.6"),          "12.2 fits neither its own FLOPs nor any count: a misprint; the first layer's width is inferred"},
    {"gshard-137b",            ALL,      4096, P("136.5"),         OFF("21.6", 0.08),  P("572.7"),          "total has width 10944, active and FLOPs 10922.7"},
    {"deepseek-llm-7b",        ALL,      4096, P("6.9"),           P("6.9"),           P("183.5"),          ""},
    {"deepseek-llm-67b",       ALL,      4096, P("67.4"),          P("67.4"),          P("2057.5"),         "FLOPs with grouped-query attention counted as full"},
    {"llama2-7b",              ALL,      4096, P("6.7"),           P("6.7"),           P("187.9"),          ""},
    {"deepseek-v2",            NO_EMBED, 4096, P("236"),           P("21"),            NONE,                "active without the input embedding"},
    {"deepseek-v2-lite",       NO_EMBED, 4096, P("15.7"),          OFF("2.4", 0.051),  NONE,                "active without the input embedding; cut, not rounded"},
    {"deepseek-coder-v2",      NO_EMBED, 4096, P("236"),           P("21"),            NONE,                "as V2"},
    {"deepseek-coder-v2-lite", NO_EMBED, 4096, P("15.7"),          OFF("2.4", 0.051),  NONE,                "as V2-Lite"},
    {"deepseek-v3",            NO_EMBED, 4096, P("671"),           P("37"),            NONE,                "active without the input embedding"},
    {"lossfree-1b",            ALL,      2048, P("1"),             NONE,               NONE,                "expert width inferred"},
    {"lossfree-3b",            ALL,      2048, P("3"),             NONE,               NONE,                "expert width inferred"},
};

/* DeepSeekMoE's table 2: parameters of experts alone. */
static const paper experts[] = {
    {"gshard-x1.2",    ALL, 2048, P("2.3"),  P("0.28"), NONE, ""},
    {"gshard-x1.5",    ALL, 2048, P("2.83"), P("0.35"), NONE, ""},
    {"dense-x4",       ALL, 2048, P("0.47"), P("0.47"), NONE, ""},
    {"dense-x16",      ALL, 2048, P("1.89"), P("1.89"), NONE, ""},
    {"deepseekmoe-2b", ALL, 2048, P("1.89"), P("0.24"), NONE, ""},
};

/* Training settings as printed: sequences of a step, highest rate, 1e9 tokens, balance factors. */
static const struct {
    const char *config;
    int64_t sequences;
    double peak_lr, tokens, expert, device, communication, bias_rate;
} settings[] = {
    {"dense-0.2b",             2048, 1.08e-3,  100, 0,     0,    0,    0},
    {"hash-2b",                2048, 1.08e-3,  100, 0,     0,    0,    0},
    {"switch-2b",              2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"gshard-2b",              2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"gshard-x1.2",            2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"gshard-x1.5",            2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"dense-x4",               2048, 1.08e-3,  100, 0,     0,    0,    0},
    {"dense-x16",              2048, 1.08e-3,  100, 0,     0,    0,    0},
    {"deepseekmoe-2b",         2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"deepseekmoe-2b-coarse",  2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"deepseekmoe-2b-fine",    2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"deepseekmoe-2b-shared2", 2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"deepseekmoe-2b-shared4", 2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"deepseekmoe-2b-half",    2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"deepseekmoe-13b",        2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"gshard-13b-x1.2",        2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"gshard-13b-x1.5",        2048, 1.08e-3,  100, 0.01,  0,    0,    0},
    {"deepseekmoe-16b",        4608, 4.2e-4,  2000, 0.001, 0,    0,    0},
    {"deepseekmoe-145b",       4608, 3.0e-4,   245, 0.003, 0.05, 0,    0},
    {"deepseekmoe-142b-half",  4608, 3.0e-4,   245, 0.003, 0.05, 0,    0},
    {"gshard-137b",            4608, 3.0e-4,   245, 0.003, 0.05, 0,    0},
    {"deepseek-llm-7b",        2304, 4.2e-4,  2000, 0,     0,    0,    0},
    {"deepseek-llm-67b",       4608, 3.2e-4,  2000, 0,     0,    0,    0},
    {"deepseek-v2",            9216, 2.4e-4,  8100, 0.003, 0.05, 0.02, 0},
    {"deepseek-v2-lite",       4608, 4.2e-4,  5700, 0.001, 0,    0,    0},
    {"deepseek-coder-v2",      9216, 2.4e-4,  6000, 0.003, 0.05, 0.02, 0},
    {"deepseek-coder-v2-lite", 4608, 4.2e-4,  6000, 0.001, 0,    0,    0},
    {"lossfree-1b",            1152, 1.0e-3,  94.4, 0,     0,    0,    0.001},
    {"lossfree-3b",            1728, 7.8e-4,   200, 0,     0,    0,    0.001},
};
/* clang-format on */

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* --- figures ------------------------------------------------------------------------------------
 */

typedef struct figures {
    double params, active, flops;
} figures;

static figures ours(const paper *p, bool experts_alone)
{
    dsm_model_config c = test_paper_config(p->config);
    dsm_plan plan;
    dsm_err err;
    assert_ok(dsm_plan_make(&plan, &c, &(dsm_plan_options){p->T, 1, false}, &err));
    if (experts_alone)
        return (figures){(double)plan.ffn_params / 1e9, (double)plan.active_ffn_params / 1e9, 0};
    int64_t active = p->counting == NO_EMBED ? plan.active_params_no_embedding : plan.active_params;
    double flops = p->counting == ROUNDED ? plan.train_flops_rounded : plan.train_flops_papers;
    return (figures){(double)plan.params / 1e9, (double)active / 1e9, flops / 1e12};
}

/* Half a unit of the last printed digit. */
static double precision(const char *text)
{
    const char *dot = strchr(text, '.');
    return 0.5 * pow(10, dot ? -(double)strlen(dot + 1) : 0);
}

static void near(const paper *p, const char *what, double got, printed figure)
{
    if (!figure.text) return;
    double expected = strtod(figure.text, NULL) + figure.off;
    if (fabs(got - expected) > precision(figure.text))
        fail_msg("%s: %s %.4f, printed %s, expected to be off by %g", p->config, what, got,
                 figure.text, figure.off);
}

static void printed_figures_are_met(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(papers); i++) {
        figures f = ours(&papers[i], false);
        near(&papers[i], "1e9 parameters", f.params, papers[i].params);
        near(&papers[i], "1e9 active parameters", f.active, papers[i].active);
        near(&papers[i], "1e12 FLOPs", f.flops, papers[i].flops);
    }
    for (size_t i = 0; i < COUNT(experts); i++) {
        figures f = ours(&experts[i], true);
        near(&experts[i], "1e9 parameters of experts", f.params, experts[i].params);
        near(&experts[i], "1e9 active ones", f.active, experts[i].active);
    }
}

/* The ratios that the paper draws from them: 16B of 7B's FLOPs 40.5 %, of LLaMA2 7B's 39.6 %; 145B
 * and 142B of 67B's 28.5 and 18.2 %. */
static void printed_ratios_are_met(void **state)
{
    (void)state;
    static const struct {
        const char *config, *of;
        double percent;
    } cases[] = {
        {"deepseekmoe-16b", "deepseek-llm-7b", 40.5},
        {"deepseekmoe-16b", "llama2-7b", 39.6},
        {"deepseekmoe-145b", "deepseek-llm-67b", 28.5},
        {"deepseekmoe-142b-half", "deepseek-llm-67b", 18.2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double flops[2] = {0};
        for (size_t k = 0; k < COUNT(papers); k++) {
            if (strcmp(papers[k].config, cases[i].config) == 0)
                flops[0] = ours(&papers[k], false).flops;
            if (strcmp(papers[k].config, cases[i].of) == 0)
                flops[1] = ours(&papers[k], false).flops;
        }
        assert_true(fabs(100 * flops[0] / flops[1] - cases[i].percent) < 0.1);
    }
}

/* DeepSeek LLM's table 3: non-embedding FLOPs of a token, M = 72 L d² + 12 L d T, as printed; and
 * 6 N1 / M. Widths are 8/3 d. */
static void table_of_model_scales(void **state)
{
    (void)state;
    static const struct {
        int64_t L, d;
        double M, unit;    /* printed, and its last digit */
        double ratio, off; /* 6 N1 / M, and how far ours is off */
    } rows[] = {
        {8, 512, 352e6, 1e6, 0.43, 0},       {12, 768, 963e6, 1e6, 0.53, 0},
        {24, 1024, 3.02e9, 1e7, 0.60, 0},    {24, 2048, 9.66e9, 1e7, 0.75, 0},
        {32, 4096, 45.1e9, 1e8, 0.85, 0.01}, {40, 5120, 85.6e9, 1e8, 0.88, 0},
        {80, 8192, 419e9, 1e9, 0.92, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dsm_model_config c = test_paper_config("deepseek-llm-7b");
        dsm_plan p;
        dsm_err err;
        c.num_hidden_layers = rows[i].L, c.hidden_size = rows[i].d;
        c.intermediate_size = (8 * rows[i].d + 2) / 3;
        assert_ok(dsm_plan_make(&p, &c, &(dsm_plan_options){4096, 1, false}, &err));
        assert_true(fabs(p.non_embedding_flops - rows[i].M) <= 0.5 * rows[i].unit);
        double n1 = 72.0 * (double)(rows[i].L * rows[i].d * rows[i].d);
        assert_true(fabs(n1 / p.non_embedding_flops - rows[i].ratio - rows[i].off) <= 0.0051);
    }
}

static void non_embedding_flops_of_7b_and_67b(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        double M;
    } cases[] = {{"deepseek-llm-7b", 42.28e9}, {"deepseek-llm-67b", 497.3e9}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        dsm_model_config c = test_paper_config(cases[i].config);
        dsm_plan p;
        dsm_err err;
        assert_ok(dsm_plan_make(&p, &c, &(dsm_plan_options){4096, 1, false}, &err));
        assert_true(fabs(p.non_embedding_flops / cases[i].M - 1) < 2e-4);
    }
}

/* --- recipes ------------------------------------------------------------------------------------
 */

static void near_setting(const char *config, const char *key, double got, double expected)
{
    if (fabs(got - expected) > 1e-9 * fabs(expected))
        fail_msg("%s.yaml: %s %g, printed %g", config, key, got, expected);
}

/* "100B" are 104.9, "2T" 2.009; the others are nearer. */
static void recipes_are_the_papers_settings(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(settings); i++) {
        const char *name = settings[i].config;
        char path[512], model[512];
        dsm_recipe r;
        dsm_err err;
        dsm_schedule schedule;
        snprintf(path, sizeof path, CONFIGS "%s.yaml", name);
        snprintf(model, sizeof model, "configs/paper/%s.json", name);
        assert_ok(dsm_recipe_read(&r, path, NULL, 0, &err));
        assert_string_equal(r.model, model);
        near_setting(name, "batch.sequences", (double)r.batch.sequences,
                     (double)settings[i].sequences);
        near_setting(name, "peak_lr", r.optimizer.peak_lr, settings[i].peak_lr);
        near_setting(name, "balance.expert", r.balance.expert, settings[i].expert);
        near_setting(name, "balance.device", r.balance.device, settings[i].device);
        near_setting(name, "balance.communication", r.balance.communication,
                     settings[i].communication);
        near_setting(name, "balance.bias_rate", r.balance.bias_rate, settings[i].bias_rate);
        near_setting(name, "init_std", r.init_std, 0.006);
        dsm_schedule_init(&schedule, &r);
        double tokens = (double)schedule.total_tokens / 1e9;
        if (tokens < 0.999 * settings[i].tokens || tokens > 1.05 * settings[i].tokens)
            fail_msg("%s.yaml: %.1fe9 tokens, printed %g", name, tokens, settings[i].tokens);
        for (size_t k = 0; k < COUNT(papers); k++)
            if (strcmp(papers[k].config, name) == 0) assert_int_equal(r.data.seq_len, papers[k].T);
    }
}

/* Files and rows are the same things. */
static void every_file_has_its_row(void **state)
{
    (void)state;
    size_t n_configs = 0, n_recipes = 0;
    DIR *dir = opendir(CONFIGS);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        const char *dot = strrchr(e->d_name, '.');
        n_configs += dot && strcmp(dot, ".json") == 0;
        n_recipes += dot && strcmp(dot, ".yaml") == 0;
    }
    closedir(dir);
    assert_int_equal(n_configs, COUNT(papers));
    assert_int_equal(n_recipes, COUNT(settings));
}

/* --- the page -----------------------------------------------------------------------------------
 */

static char *read_page(void)
{
    FILE *f = fopen(TEST_SOURCE_DIR "/docs/plan.md", "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 17);
    assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
    fclose(f);
    return text;
}

/* "16.376 | 16.4 | -0.15 %": ours, the paper's, the difference. */
static void format_figure(char *out, size_t size, double got, printed figure)
{
    if (!figure.text) {
        snprintf(out, size, "%.5g | – | –", got);
        return;
    }
    double theirs = strtod(figure.text, NULL);
    snprintf(out, size, "%.5g | %s | %+.2f %%", got, figure.text, 100 * (got / theirs - 1));
}

static void format_row(char *out, size_t size, const paper *p, bool experts_alone)
{
    const figures f = ours(p, experts_alone);
    char params[64], active[64], flops[64];
    format_figure(params, sizeof params, f.params, p->params);
    format_figure(active, sizeof active, f.active, p->active);
    format_figure(flops, sizeof flops, f.flops, p->flops);
    if (experts_alone)
        snprintf(out, size, "| %s | %s | %s |\n", p->config, params, active);
    else
        snprintf(out, size, "| %s | %s | %s | %s | %s |\n", p->config, params, active, flops,
                 p->why);
}

/* How many rows the page lacks; each is printed as it should be. */
static int count_missing(const char *page, const paper *rows, size_t n, bool experts_alone)
{
    int missing = 0;
    for (size_t i = 0; i < n; i++) {
        char line[512];
        format_row(line, sizeof line, &rows[i], experts_alone);
        if (strstr(page, line)) continue;
        missing++;
        print_error("docs/plan.md lacks %s", line);
    }
    return missing;
}

static void the_page_has_these_figures(void **state)
{
    (void)state;
    char *page = read_page();
    int missing = count_missing(page, papers, COUNT(papers), false);
    missing += count_missing(page, experts, COUNT(experts), true);
    free(page);
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_figures_are_met),
        cmocka_unit_test(printed_ratios_are_met),
        cmocka_unit_test(table_of_model_scales),
        cmocka_unit_test(non_embedding_flops_of_7b_and_67b),
        cmocka_unit_test(recipes_are_the_papers_settings),
        cmocka_unit_test(every_file_has_its_row),
        cmocka_unit_test(the_page_has_these_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
