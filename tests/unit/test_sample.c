/* SPDX-License-Identifier: MIT */
/* infer/sample and infer/emit: which tokens may be drawn and how often; what may be shown when. */
#include "support/support.h"

#include "infer/emit.h"
#include "infer/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- samplers --------------------------------------------------------------------------------- */

enum { N = 8, DRAWS = 20000 };

/* Probabilities 0.02 0.40 0.03 0.25 0.05 0.15 0.08 0.02. */
static const float probability[N] = {0.02f, 0.40f, 0.03f, 0.25f, 0.05f, 0.15f, 0.08f, 0.02f};

static void fill_logits(float logits[N])
{
    for (int i = 0; i < N; i++)
        logits[i] = logf(probability[i]);
}

static const dsm_sampling plain = {.repeat_penalty = 1, .temperature = 1, .top_p = 1};

/* Draw at DRAWS positions; the share of each id must be expected[id] within 5 standard errors, and
 * exactly 0 where it is 0. */
static void expect_shares(const dsm_sampling *o, const double expected[N])
{
    dsm_err err;
    float logits[N];
    fill_logits(logits);
    dsm_sampler *s;
    assert_ok(dsm_sampler_open(&s, N, &err));
    int count[N] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int32_t id;
        assert_ok(dsm_sampler_draw(s, o, logits, (uint64_t)i, &id, &err));
        assert_in_range(id, 0, N - 1);
        count[id]++;
    }
    for (int i = 0; i < N; i++) {
        double p = expected[i], sigma = sqrt(p * (1 - p) / DRAWS);
        if (fabs((double)count[i] / DRAWS - p) > 5 * sigma)
            fail_msg("id %d: drawn %d of %d, expected %g", i, count[i], DRAWS, p * DRAWS);
    }
    dsm_sampler_close(s);
}

/* Expected shares: the probabilities of `kept` ids, to the power 1/T, scaled to sum 1. */
static void expect_kept(const dsm_sampling *o, const int *kept, int n_kept)
{
    double expected[N] = {0}, total = 0;
    for (int i = 0; i < n_kept; i++)
        total += expected[kept[i]] = pow((double)probability[kept[i]], 1 / o->temperature);
    for (int i = 0; i < N; i++)
        expected[i] /= total;
    expect_shares(o, expected);
}

static const int order[N] = {1, 3, 5, 6, 4, 2, 0, 7}; /* by probability, ties to the lower id */

static void shares_follow_the_settings(void **state)
{
    (void)state;
    dsm_sampling o = plain;
    expect_kept(&o, order, N);
    o.temperature = 2;
    expect_kept(&o, order, N);
    o.temperature = 0.5;
    expect_kept(&o, order, N);
    o = plain;
    o.top_k = 3;
    expect_kept(&o, order, 3);
    o.top_k = 7; /* the tie of ids 0 and 7 goes to 0 */
    expect_kept(&o, order, 7);
    o.top_k = 100;
    expect_kept(&o, order, N);
    o = plain;
    o.top_p = 0.64; /* 0.40 + 0.25 = 0.65 */
    expect_kept(&o, order, 2);
    o.top_p = 0.66;
    expect_kept(&o, order, 3);
    o.top_p = 0;
    expect_kept(&o, order, 1);
    o = plain;
    o.min_p = 0.19; /* of 0.40: 0.076 */
    expect_kept(&o, order, 4);
    o.min_p = 1;
    expect_kept(&o, order, 1);
    o = plain;
    o.top_k = 3; /* 0.8 of the probability left: 0.40/0.8 = 0.5, with 0.25/0.8 0.8125 */
    o.top_p = 0.8;
    expect_kept(&o, order, 2);
}

static void draws_depend_on_seed_and_position_alone(void **state)
{
    (void)state;
    dsm_err err;
    float logits[N];
    fill_logits(logits);
    dsm_sampler *s;
    assert_ok(dsm_sampler_open(&s, N, &err));
    dsm_sampling o = plain;
    int32_t forward[50], id;
    int differ = 0;
    for (int i = 0; i < 50; i++)
        assert_ok(dsm_sampler_draw(s, &o, logits, (uint64_t)i, &forward[i], &err));
    for (int i = 49; i >= 0; i--) {
        assert_ok(dsm_sampler_draw(s, &o, logits, (uint64_t)i, &id, &err));
        assert_int_equal(id, forward[i]);
        o.seed = 1;
        assert_ok(dsm_sampler_draw(s, &o, logits, (uint64_t)i, &id, &err));
        differ += id != forward[i];
        o.seed = 0;
    }
    assert_true(differ > 10);
    dsm_sampler_close(s);
}

static void greedy_and_penalty(void **state)
{
    (void)state;
    dsm_err err;
    float logits[6] = {1.0f, 3.0f, 3.0f, -1.0f, 2.0f, 100.0f};
    dsm_sampler *s;
    assert_ok(dsm_sampler_open(&s, 5, &err)); /* row 5 is padding */
    dsm_sampling o = plain;
    o.temperature = 0;
    int32_t id;
    assert_ok(dsm_sampler_draw(s, &o, logits, 0, &id, &err));
    assert_int_equal(id, 1); /* ties to the lower id; never the padding */
    o.repeat_penalty = 2;
    dsm_sampler_saw(s, 1);
    dsm_sampler_saw(s, 1); /* counted once */
    dsm_sampler_saw(s, 5);
    assert_ok(dsm_sampler_draw(s, &o, logits, 0, &id, &err));
    assert_int_equal(id, 2);
    dsm_sampler_saw(s, 2); /* 1.5 and 1.5 against 2 */
    assert_ok(dsm_sampler_draw(s, &o, logits, 0, &id, &err));
    assert_int_equal(id, 4);
    dsm_sampler_forget(s);
    assert_ok(dsm_sampler_draw(s, &o, logits, 0, &id, &err));
    assert_int_equal(id, 1);
    for (int i = 0; i < 5; i++)
        logits[i] = -1.0f - (float)i; /* negative logits get more so: -1 becomes -2.5 */
    o.repeat_penalty = 2.5;
    dsm_sampler_saw(s, 0);
    assert_ok(dsm_sampler_draw(s, &o, logits, 0, &id, &err));
    assert_int_equal(id, 1);
    logits[3] = NAN;
    assert_fails(dsm_sampler_draw(s, &o, logits, 0, &id, &err), DSM_ENONFINITE, "token 3 is nan");
    logits[3] = 0;
    logits[5] = INFINITY; /* padding may hold anything */
    assert_ok(dsm_sampler_draw(s, &o, logits, 0, &id, &err));
    dsm_sampler_close(s);
}

static void settings_are_checked(void **state)
{
    (void)state;
    dsm_err err;
    dsm_sampling good;
    dsm_sampling_defaults(&good);
    assert_ok(dsm_sampling_check(&good, &err));
#define BAD(field, value)                                                                          \
    do {                                                                                           \
        dsm_sampling bad = good;                                                                   \
        bad.field = value;                                                                         \
        assert_fails(dsm_sampling_check(&bad, &err), DSM_ERANGE, #field);                          \
    } while (0)
    BAD(temperature, -1);
    BAD(temperature, (double)NAN);
    BAD(top_k, -1);
    BAD(top_p, 1.5);
    BAD(min_p, -0.1);
    BAD(repeat_penalty, 0);
}

/* --- emitter ---------------------------------------------------------------------------------- */

/* Everything emitted, pieces separated by '|'. */
typedef struct record {
    char text[256];
    int pieces_left; /* emit returns false when this many have come */
} record;

static bool take(void *arg, const char *text, size_t n)
{
    record *r = arg;
    assert_true(n > 0);
    assert_int_equal(dsm_utf8_valid_prefix(text, n), n);
    size_t len = strlen(r->text);
    snprintf(r->text + len, sizeof r->text - len, "%s%.*s", len ? "|" : "", (int)n, text);
    return --r->pieces_left != 0;
}

/* Feed pieces to an emitter with these stops; what came out, and whether a stop was found. */
static void expect_emitted(const char *const *pieces, const char *const *stops, int n_stops,
                           const char *expected, const char *stop)
{
    record r = {.pieces_left = 1000};
    dsm_emitter e = {.stops = stops, .n_stops = n_stops, .emit = take, .arg = &r};
    for (; *pieces; pieces++)
        dsm_emitter_add(&e, *pieces, strlen(*pieces));
    dsm_emitter_end(&e);
    assert_string_equal(r.text, expected);
    if (stop)
        assert_string_equal(e.stop, stop);
    else
        assert_null(e.stop);
    char whole[256] = "";
    for (const char *p = expected; *p; p++)
        if (*p != '|') strncat(whole, p, 1);
    assert_string_equal(e.text.data ? e.text.data : "", whole);
    dsm_emitter_free(&e);
}

#define PIECES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void shows_whole_characters(void **state)
{
    (void)state;
    expect_emitted(PIECES("a", "\xE4", "\xB8", "\xAD", "b"), NULL, 0, "a|中|b", NULL);
    expect_emitted(PIECES("x\xF0\x9F", "\x98\x80y"), NULL, 0, "x|😀y", NULL);
    expect_emitted(PIECES("\xE4\xB8", "A"), NULL, 0, "\uFFFDA", NULL); /* never became one */
    expect_emitted(PIECES("\xFF", "A"), NULL, 0, "\uFFFD|A", NULL);
    expect_emitted(PIECES("ab\xE4\xB8"), NULL, 0, "ab|\uFFFD", NULL); /* the end came first */
    expect_emitted(PIECES(""), NULL, 0, "", NULL);
}

static void never_shows_a_part_of_a_stop(void **state)
{
    (void)state;
    static const char *const one[] = {"\n\nUser:"};
    expect_emitted(PIECES("Hi", "\n", "\nUs", "er: x"), one, 1, "Hi", one[0]);
    expect_emitted(PIECES("Hi", "\n", "\nno"), one, 1, "Hi|\n\nno", NULL);
    expect_emitted(PIECES("Hi\n", "\n", "\n", "User:"), one, 1, "Hi|\n", one[0]);
    expect_emitted(PIECES("Hi\n\nUse"), one, 1, "Hi|\n\nUse",
                   NULL); /* the end: no stop after all */
    static const char *const two[] = {"def", "cd", ""};
    expect_emitted(PIECES("abcdef"), two, 3, "ab", two[1]); /* the earlier one */
    expect_emitted(PIECES("abd", "e", "c", "d"), two, 3, "ab|de", two[1]);
    static const char *const han[] = {"中文"};
    expect_emitted(PIECES("a\xE4\xB8\xAD\xE6", "\x96\x87z"), han, 1, "a", han[0]);
    expect_emitted(PIECES("a\xE4\xB8\xAD\xE6", "\x9C\xACz"), han, 1, "a|中本z", NULL);
}

static void emit_may_cancel(void **state)
{
    (void)state;
    record r = {.pieces_left = 2};
    dsm_emitter e = {.emit = take, .arg = &r};
    for (int i = 0; i < 5; i++)
        dsm_emitter_add(&e, "x", 1);
    dsm_emitter_end(&e);
    assert_true(e.cancelled);
    assert_string_equal(r.text, "x|x");
    dsm_emitter_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_the_settings),
        cmocka_unit_test(draws_depend_on_seed_and_position_alone),
        cmocka_unit_test(greedy_and_penalty),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(shows_whole_characters),
        cmocka_unit_test(never_shows_a_part_of_a_stop),
        cmocka_unit_test(emit_may_cancel),
    };
    return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
