/* SPDX-License-Identifier: MIT */
/* data/loader: every sequence once an epoch, targets shifted by one, bytes that add up, shares that
 * hold, a cursor that goes on exactly. */
#include "support/support.h"

#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { V = 1000, T = 8 };

/* A set of n tokens base, base+1, … whose byte length is id % 5 + 1. */
static const char *make_set(const char *parent, const char *name, int32_t base, int n,
                            uint64_t fingerprint, uint64_t extra_bytes)
{
    dsm_err err = {0};
    static uint16_t n_bytes[V];
    for (int i = 0; i < V; i++)
        n_bytes[i] = (uint16_t)(i % 5 + 1);
    dsm_shard_vocab vocab = {fingerprint, V, n_bytes};
    const char *dir = test_path(parent, name);
    mkdir(dir, 0777);
    dsm_dataset_writer w;
    assert_ok(dsm_dataset_begin(&w, dir, &vocab, 100, &err));
    for (int done = 0; done < n;) {
        int32_t ids[7];
        int part = n - done < 7 ? n - done : 7;
        uint64_t bytes = done == 0 ? extra_bytes : 0;
        for (int i = 0; i < part; i++) {
            ids[i] = base + done + i;
            bytes += n_bytes[ids[i]];
        }
        assert_ok(dsm_dataset_add(&w, ids, (size_t)part, bytes, &err));
        done += part;
    }
    assert_ok(dsm_dataset_finish(&w, NULL, &err));
    return dir;
}

static dsm_loader *open_one(const char *dir, uint64_t seed, bool shuffle)
{
    dsm_err err = {0};
    dsm_loader *l;
    dsm_source s = {dir, 1};
    assert_ok(dsm_loader_open(&l, &s, 1, T, seed, shuffle, &err));
    return l;
}

/* Deal one sequence; its first token. */
static int32_t deal(dsm_loader *l, uint64_t *bytes)
{
    dsm_err err = {0};
    int32_t tokens[T], targets[T];
    assert_ok(dsm_loader_next(l, 1, tokens, targets, bytes, &err));
    for (int t = 0; t < T; t++) {
        assert_int_equal(tokens[t], tokens[0] + t);
        assert_int_equal(targets[t], tokens[t] + 1);
    }
    return tokens[0];
}

/* --- one source ----------------------------------------------------------------------------- */

static void unshuffled_sequences_follow_the_text(void **state)
{
    dsm_loader *l = open_one(make_set(*state, "plain", 0, 403, 1, 0), 1, false);
    assert_int_equal(dsm_loader_epoch_sequences(l), 50);
    for (int epoch = 0; epoch < 2; epoch++)
        for (int i = 0; i < 50; i++)
            assert_int_equal(deal(l, NULL), i * T);
    dsm_loader_close(l);
}

/* Exactly seq_len tokens short of nothing: 8 targets need 9 tokens. */
static void the_last_target_needs_one_more_token(void **state)
{
    dsm_err err = {0};
    dsm_loader *l;
    dsm_source s = {make_set(*state, "eight", 0, 8, 1, 0), 1};
    assert_fails(dsm_loader_open(&l, &s, 1, T, 1, true, &err), DSM_ESHAPE,
                 "has 8 tokens, one sequence of 8 needs 9");
    assert_null(l);
    l = open_one(make_set(*state, "nine", 0, 9, 1, 0), 1, true);
    assert_int_equal(dsm_loader_epoch_sequences(l), 1);
    assert_int_equal(deal(l, NULL), 0);
    assert_int_equal(deal(l, NULL), 0);
    dsm_loader_close(l);
}

static void an_epoch_visits_every_sequence_once(void **state)
{
    const char *dir = make_set(*state, "epochs", 0, 801, 1, 0);
    dsm_loader *l = open_one(dir, 7, true), *other = open_one(dir, 8, true);
    int32_t order[3][100];
    int same_seed = 0, same_epoch = 0, moved = 0;
    for (int e = 0; e < 3; e++) {
        bool seen[100] = {false};
        for (int i = 0; i < 100; i++) {
            order[e][i] = deal(l, NULL) / T;
            assert_false(seen[order[e][i]]);
            seen[order[e][i]] = true;
            same_seed += deal(other, NULL) / T == order[e][i];
            same_epoch += e > 0 && order[e][i] == order[e - 1][i];
            moved += order[e][i] != i;
        }
    }
    assert_true(same_seed < 30 && same_epoch < 30 && moved > 250);
    dsm_loader_close(l);
    dsm_loader_close(other);
}

/* The order is a function of the seed, today and in every later version: runs are resumed by it. */
static void the_order_is_fixed_by_the_seed(void **state)
{
    static const int first[] = {95, 76, 6, 59, 35, 42, 79, 4};
    const char *dir = make_set(*state, "fixed", 0, 801, 1, 0);
    dsm_loader *a = open_one(dir, 42, true), *b = open_one(dir, 42, true);
    for (int i = 0; i < 250; i++) {
        int32_t sequence = deal(a, NULL) / T;
        if (i < (int)(sizeof first / sizeof *first)) assert_int_equal(sequence, first[i]);
        assert_int_equal(sequence, deal(b, NULL) / T);
    }
    dsm_loader_close(a);
    dsm_loader_close(b);
}

static void bytes_sum_to_what_was_predicted(void **state)
{
    uint64_t bytes, sum = 0, expected = 0;
    dsm_loader *l = open_one(make_set(*state, "bytes", 0, 400, 1, 0), 3, true);
    for (uint64_t i = 0; i < dsm_loader_epoch_sequences(l); i++) {
        deal(l, &bytes);
        sum += bytes;
    }
    for (int id = 1; id <= 392; id++) /* targets 1 … 392 */
        expected += (uint64_t)(id % 5 + 1);
    assert_int_equal(sum, expected);
    dsm_loader_close(l);
}

/* A tokenizer that normalises: 1,200 bytes of tokens came from 2,400 bytes of text. */
static void bytes_are_apportioned_when_tokens_do_not_spell_the_text(void **state)
{
    uint64_t bytes, sum = 0;
    dsm_loader *l = open_one(make_set(*state, "normal", 0, 400, 1, 1200), 3, false);
    for (int i = 0; i < 49; i++) {
        deal(l, &bytes);
        sum += bytes;
    }
    assert_in_range(sum, 2 * 1176 - 49, 2 * 1176 + 49);
    dsm_loader_close(l);
}

/* --- several sources ------------------------------------------------------------------------ */

static void shares_hold_at_every_moment(void **state)
{
    dsm_err err = {0};
    dsm_loader *l;
    dsm_source s[3] = {{make_set(*state, "m0", 0, 100, 1, 0), 5},
                       {make_set(*state, "m1", 300, 200, 1, 0), 3},
                       {make_set(*state, "m2", 600, 57, 1, 0), 2}};
    int count[3] = {0};
    assert_ok(dsm_loader_open(&l, s, 3, T, 5, true, &err));
    assert_int_equal(dsm_loader_epoch_sequences(l), 12 + 24 + 7);
    for (int n = 1; n <= 1000; n++) {
        count[deal(l, NULL) / 300]++;
        for (int i = 0; i < 3; i++)
            assert_true(fabs(count[i] - n * s[i].weight / 10) < 1.0);
    }
    assert_int_equal(count[0], 500);
    dsm_data_info info;
    dsm_loader_get_info(l, &info);
    assert_int_equal(info.tokens, 357);
    dsm_loader_close(l);
}

static void a_cursor_goes_on_exactly(void **state)
{
    dsm_err err = {0};
    dsm_source s[2] = {{make_set(*state, "c0", 0, 100, 1, 0), 0.7},
                       {make_set(*state, "c1", 300, 200, 1, 0), 0.3}};
    dsm_loader *a, *b;
    dsm_loader_state cursor;
    assert_ok(dsm_loader_open(&a, s, 2, T, 5, true, &err));
    for (int stop = 0; stop < 100; stop += 9) {
        for (int i = 0; i < 9; i++)
            deal(a, NULL);
        dsm_loader_get_state(a, &cursor);
        assert_ok(dsm_loader_open(&b, s, 2, T, 5, true, &err));
        assert_ok(dsm_loader_set_state(b, &cursor, &err));
        for (int i = 0; i < 50; i++)
            assert_int_equal(deal(a, NULL), deal(b, NULL));
        assert_ok(dsm_loader_set_state(a, &cursor, &err));
        dsm_loader_close(b);
    }
    cursor.per_source[2] = 1;
    cursor.sequences++;
    assert_fails(dsm_loader_set_state(a, &cursor, &err), DSM_ESHAPE, "data cursor");
    dsm_loader_close(a);
}

static void sources_must_fit_each_other(void **state)
{
    dsm_err err = {0};
    dsm_loader *l;
    dsm_source s[2] = {{make_set(*state, "f0", 0, 100, 1, 0), 1},
                       {make_set(*state, "f1", 0, 100, 2, 0), 1}};
    assert_fails(dsm_loader_open(&l, s, 2, T, 5, true, &err), DSM_ESHAPE, "another tokenizer");
    s[1].weight = 0;
    assert_fails(dsm_loader_open(&l, s, 2, T, 5, true, &err), DSM_EUSAGE, "weight: found 0");
    s[1].weight = NAN;
    assert_fails(dsm_loader_open(&l, s, 2, T, 5, true, &err), DSM_EUSAGE, "weight");
    assert_fails(dsm_loader_open(&l, s, 0, T, 5, true, &err), DSM_EUSAGE, "found 0 sources");
    assert_fails(dsm_loader_open(&l, s, 1, 0, 5, true, &err), DSM_EUSAGE, "seq_len: found 0");
    s[0].dir = test_path(*state, "nowhere");
    assert_fails(dsm_loader_open(&l, s, 1, T, 5, true, &err), DSM_ENOTFOUND, "nowhere/data.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unshuffled_sequences_follow_the_text),
        cmocka_unit_test(the_last_target_needs_one_more_token),
        cmocka_unit_test(an_epoch_visits_every_sequence_once),
        cmocka_unit_test(the_order_is_fixed_by_the_seed),
        cmocka_unit_test(bytes_sum_to_what_was_predicted),
        cmocka_unit_test(bytes_are_apportioned_when_tokens_do_not_spell_the_text),
        cmocka_unit_test(shares_hold_at_every_moment),
        cmocka_unit_test(a_cursor_goes_on_exactly),
        cmocka_unit_test(sources_must_fit_each_other),
    };
    return cmocka_run_group_tests(tests, test_enter_dir, test_leave_dir);
}
