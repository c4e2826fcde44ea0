/* SPDX-License-Identifier: MIT */
/* Verdicts on claims, and YAML as JSON. What needs processes is in tests/cli/cases/experiment.t. */
#include "support/support.h"

#include "core/yaml.h"
#include "experiment/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- verdicts --------------------------------------------------------------------------------- */

static dsm_sample sample(int n, const double *values)
{
    dsm_sample s = {0};
    for (int i = 0; i < n; i++)
        dsm_sample_add(&s, values[i]);
    return s;
}

static void sample_is_mean_and_deviation(void **state)
{
    (void)state;
    dsm_sample s = sample(4, (const double[]){2, 4, 4, 6});
    assert_true(fabs(s.mean - 4) < 1e-12);
    assert_true(fabs(dsm_sample_deviation(&s) - sqrt(8.0 / 3)) < 1e-12);
    s = sample(1, (const double[]){2});
    assert_true(isnan(dsm_sample_deviation(&s)));
}

static const dsm_spread assumed = {NAN, 0.002};

/* Three seeds each, deviation 0.01: two standard errors of a difference are 2·0.01·sqrt(2/3). */
static void difference_must_stand_clear_of_seeds(void **state)
{
    (void)state;
    char figures[160];
    const double room = 2 * 0.01 * sqrt(2.0 / 3);
    dsm_sample a = sample(3, (const double[]){1.99, 2.00, 2.01});
    dsm_sample near = sample(3, (const double[]){2.00, 2.01, 2.02});
    dsm_sample far = sample(3, (const double[]){2.01, 2.02, 2.03});
    assert_true(room > 0.01 && room < 0.02);
    assert_int_equal(dsm_verdict_of(&a, &near, 0, assumed, NULL, 0), DSM_VERDICT_NOISE);
    assert_int_equal(dsm_verdict_of(&a, &far, 0, assumed, figures, sizeof figures),
                     DSM_VERDICT_HOLDS);
    assert_int_equal(dsm_verdict_of(&far, &a, 0, assumed, NULL, 0), DSM_VERDICT_FAILS);
    assert_string_equal(figures, "2.0000 ± 0.0100 against 2.0200 ± 0.0100");
}

static void one_seed_borrows_the_spread_of_others(void **state)
{
    (void)state;
    dsm_sample a = sample(1, (const double[]){2.00}), b = sample(1, (const double[]){2.02});
    dsm_sample none = {0};
    char figures[160];
    assert_int_equal(dsm_verdict_of(&a, &b, 0, (dsm_spread){0.001, 0}, NULL, 0), DSM_VERDICT_HOLDS);
    assert_int_equal(dsm_verdict_of(&a, &b, 0, (dsm_spread){0.010, 0}, NULL, 0), DSM_VERDICT_NOISE);
    assert_int_equal(dsm_verdict_of(&a, &b, 0, assumed, NULL, 0), DSM_VERDICT_HOLDS);
    assert_int_equal(dsm_verdict_of(&a, &b, 0, (dsm_spread){NAN, 0.004}, figures, sizeof figures),
                     DSM_VERDICT_NOISE);
    assert_string_equal(figures, "2.0000 against 2.0200 (one seed)");
    assert_int_equal(dsm_verdict_of(&a, &none, 0, assumed, NULL, 0), DSM_VERDICT_NOT_RUN);
}

static void at_most_leaves_room(void **state)
{
    (void)state;
    dsm_sample a = sample(2, (const double[]){2.0099, 2.0101});
    dsm_sample b = sample(2, (const double[]){1.9999, 2.0001});
    assert_int_equal(dsm_verdict_of(&a, &b, 0.01, assumed, NULL, 0), DSM_VERDICT_HOLDS);
    assert_int_equal(dsm_verdict_of(&a, &b, 0.002, assumed, NULL, 0), DSM_VERDICT_FAILS);
    assert_int_equal(dsm_verdict_of(&b, &a, 0.002, assumed, NULL, 0), DSM_VERDICT_HOLDS);
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
        cmocka_unit_test(difference_must_stand_clear_of_seeds),
        cmocka_unit_test(one_seed_borrows_the_spread_of_others),
        cmocka_unit_test(at_most_leaves_room),
        cmocka_unit_test(yaml_is_json),
        cmocka_unit_test(yaml_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
