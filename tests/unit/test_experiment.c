/* SPDX-License-Identifier: MIT */
/* Verdicts on claims, points of analyses, and YAML as JSON. What needs processes is in
 * tests/cli/cases/experiment.t. */
#include "support/support.h"

#include "core/yaml.h"
#include "experiment/points.h"
#include "experiment/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- verdicts --------------------------------------------------------------------------------- */

static dsm_sample sample(int n, const double *values)
{
    dsm_sample s = {0};
    for (int i = 0; i < n; i++)
        dsm_sample_set(&s, i + 1, values[i]);
    return s;
}

static void sample_is_mean_and_deviation(void **state)
{
    (void)state;
    dsm_sample s = sample(4, (const double[]){2, 4, 4, 6});
    dsm_moments m = dsm_sample_moments(&s);
    assert_true(m.n == 4 && fabs(m.mean - 4) < 1e-12);
    assert_true(fabs(m.deviation - sqrt(8.0 / 3)) < 1e-12);
    dsm_sample_set(&s, DSM_MAX_SEEDS + 1, 9);
    dsm_sample_set(&s, 0, 9);
    assert_int_equal(dsm_sample_moments(&s).n, 4);
    s = sample(1, (const double[]){2});
    assert_true(dsm_sample_moments(&s).deviation == 0);
}

/* Seeds that move both alike do not hide a difference; those of either alone do. */
static void difference_is_of_each_seed(void **state)
{
    (void)state;
    char figures[160];
    dsm_sample a = sample(3, (const double[]){1.95, 2.00, 2.05});
    dsm_sample alike = sample(3, (const double[]){1.96, 2.01, 2.06});
    dsm_sample mixed = sample(3, (const double[]){2.06, 1.96, 2.01});
    assert_int_equal(dsm_verdict_of(&a, &alike, 0, 0.001, figures, sizeof figures),
                     DSM_VERDICT_HOLDS);
    assert_string_equal(figures,
                        "2.0000 ± 0.0500 against 2.0100 ± 0.0500, per seed -0.0100 ± 0.0000");
    assert_int_equal(dsm_verdict_of(&alike, &a, 0, 0.001, NULL, 0), DSM_VERDICT_FAILS);
    assert_int_equal(dsm_verdict_of(&a, &mixed, 0, 0.001, NULL, 0), DSM_VERDICT_NOISE);
}

/* With n seeds that agree, noise is 2 s_0 sqrt(4 / (3 + n) / n). */
static void what_was_measured_before_counts_like_four_seeds(void **state)
{
    (void)state;
    for (int n = 1; n <= 8; n++) {
        double at[8], under[8], over[8], noise = 2 * 0.01 * sqrt(4.0 / (3 + n) / n);
        for (int i = 0; i < n; i++)
            at[i] = 10, under[i] = 10 - 0.99 * noise, over[i] = 10 - 1.01 * noise;
        dsm_sample a = sample(n, at), near = sample(n, under), far = sample(n, over);
        assert_int_equal(dsm_verdict_of(&near, &a, 0, 0.001, NULL, 0), DSM_VERDICT_NOISE);
        assert_int_equal(dsm_verdict_of(&far, &a, 0, 0.001, NULL, 0), DSM_VERDICT_HOLDS);
    }
}

static void only_seeds_of_both_are_compared(void **state)
{
    (void)state;
    char figures[160];
    dsm_sample a = sample(1, (const double[]){2.00}), b = sample(1, (const double[]){2.02});
    dsm_sample none = {0};
    dsm_sample_set(&b, 2, 1.90);
    assert_int_equal(dsm_verdict_of(&a, &b, 0, 0.002, figures, sizeof figures), DSM_VERDICT_HOLDS);
    assert_string_equal(figures, "2.0000 against 1.9600 ± 0.0849 (one seed: -0.0200)");
    assert_int_equal(dsm_verdict_of(&a, &none, 0, 0.002, NULL, 0), DSM_VERDICT_NOT_RUN);
    dsm_sample_set(&none, 2, 1.90);
    assert_int_equal(dsm_verdict_of(&a, &none, 0, 0.002, NULL, 0), DSM_VERDICT_NOT_RUN);
}

static void at_most_leaves_room(void **state)
{
    (void)state;
    dsm_sample a = sample(2, (const double[]){2.0099, 2.0101});
    dsm_sample b = sample(2, (const double[]){1.9999, 2.0001});
    assert_int_equal(dsm_verdict_of(&a, &b, 0.01, 0.001, NULL, 0), DSM_VERDICT_HOLDS);
    assert_int_equal(dsm_verdict_of(&a, &b, 0.002, 0.001, NULL, 0), DSM_VERDICT_FAILS);
    assert_int_equal(dsm_verdict_of(&b, &a, 0.002, 0.001, NULL, 0), DSM_VERDICT_HOLDS);
}

/* --- points of analyses ----------------------------------------------------------------------- */

static const char *const measured = "{\"points\": [{\"kind\": \"active\", \"x\": 4, \"loss\": 2.5},"
                                    " {\"kind\": \"active\", \"x\": 3, \"loss\": null},"
                                    " {\"kind\": \"mask_top\", \"x\": 0.0625, \"loss\": 4}]}";

static void loss_of_a_point(void **state)
{
    (void)state;
    json_t *file = json_loads(measured, 0, NULL);
    assert_true(dsm_points_loss(file, DSM_ANALYSIS_ACTIVE, 4) == 2.5);
    assert_true(dsm_points_loss(file, DSM_ANALYSIS_MASK_TOP, 1.0 / 16) == 4);
    assert_true(isnan(dsm_points_loss(file, DSM_ANALYSIS_ACTIVE, 3))); /* was not finite */
    assert_true(isnan(dsm_points_loss(file, DSM_ANALYSIS_ACTIVE, 5)));
    assert_true(isnan(dsm_points_loss(file, DSM_ANALYSIS_MASK_TOP, 4)));
    assert_true(isnan(dsm_points_loss(NULL, DSM_ANALYSIS_ACTIVE, 4)));
    json_decref(file);
}

static void points_are_complete_when_all_were_measured(void **state)
{
    (void)state;
    json_t *file = json_loads(measured, 0, NULL);
    dsm_def_analysis a = {.kind = DSM_ANALYSIS_ACTIVE, .n = 2, .at = {3, 4}};
    const dsm_def_analysis experts = {.kind = DSM_ANALYSIS_EXPERTS};
    assert_true(dsm_points_complete(file, &a));
    assert_false(dsm_points_complete(NULL, &a));
    assert_false(dsm_points_complete(file, &experts));
    a.at[1] = 5;
    assert_false(dsm_points_complete(file, &a));
    json_decref(file);
}

static void points_are_asked_for_once(void **state)
{
    (void)state;
    dsm_err err = {0};
    json_t *file = json_loads(measured, 0, NULL);
    dsm_def_analysis a = {.kind = DSM_ANALYSIS_ACTIVE, .n = 2, .at = {4, 5}};
    dsm_def_analysis more = {.kind = DSM_ANALYSIS_ACTIVE, .n = 2, .at = {5, 6}};
    assert_int_equal(dsm_points_add(&a, &more, "moe-s1", &err), DSM_OK);
    dsm_points_add_known(&a, file);
    dsm_points_add_known(&a, NULL);
    assert_int_equal(a.n, 4);
    assert_true(a.at[2] == 6 && a.at[3] == 3);
    for (more.n = 0; more.n < DSM_MAX_POINTS; more.n++)
        more.at[more.n] = 100 + more.n;
    assert_int_equal(dsm_points_add(&a, &more, "moe-s1", &err), DSM_ELIMIT);
    assert_non_null(strstr(err.msg, "moe-s1: analysis active"));
    assert_int_equal(a.n, DSM_MAX_POINTS);
    dsm_points_add_known(&a, file);
    json_decref(file);
}

/* --- YAML ------------------------------------------------------------------------------------- */

static void expect_json(const char *yaml, const char *expected)
{
    dsm_err err = {0};
    json_t *value;
    assert_int_equal(dsm_yaml_parse(&value, yaml, strlen(yaml), "t", &err), DSM_OK);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void expect_error(const char *yaml, const char *message)
{
    dsm_err err = {0};
    json_t *value;
    assert_int_equal(dsm_yaml_parse(&value, yaml, strlen(yaml), "t", &err), DSM_EFORMAT);
    assert_null(value);
    assert_non_null(strstr(err.msg, message));
}

static void yaml_is_json(void **state)
{
    (void)state;
    expect_json("a: 1\nb: [1.5, x, \"2\", true, ~]\nc: {d: 1e-3}",
                "{\"a\":1,\"b\":[1.5,\"x\",\"2\",true,null],\"c\":{\"d\":0.001}}");
    expect_json("- 1\n- - 2\n  - three four", "[1,[2,\"three four\"]]");
}

static void yaml_that_is_refused(void **state)
{
    (void)state;
    char deep[256];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    expect_error(deep, "too deep");
    expect_error("a: &x 1\nb: *x", "t:2: found an alias");
    expect_error("a: 1\na: 2", "t:2: found a key given twice");
    expect_error("a: 1\n---\nb: 2", "a second document");
    expect_error("[a]: 1", "expected a key");
    expect_error("a: [1", "not YAML");
    expect_error("", "found nothing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_is_mean_and_deviation),
        cmocka_unit_test(difference_is_of_each_seed),
        cmocka_unit_test(what_was_measured_before_counts_like_four_seeds),
        cmocka_unit_test(only_seeds_of_both_are_compared),
        cmocka_unit_test(at_most_leaves_room),
        cmocka_unit_test(loss_of_a_point),
        cmocka_unit_test(points_are_complete_when_all_were_measured),
        cmocka_unit_test(points_are_asked_for_once),
        cmocka_unit_test(yaml_is_json),
        cmocka_unit_test(yaml_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
