/* SPDX-License-Identifier: MIT */
/* core/settings and the recipe: types, ranges, messages, overrides, and the copy that reads back.
 */
#include "support/support.h"

#include "core/buf.h"
#include "core/fs.h"
#include "train/recipe.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINIMAL "model: m.json\ndata: {train: d}\nsteps: 10\n"

static dsm_status parse(dsm_recipe *r, const char *text, dsm_err *err)
{
    return dsm_recipe_parse(r, text, strlen(text), "r.yaml", NULL, 0, err);
}

static dsm_status parse_set(dsm_recipe *r, const char *set, dsm_err *err)
{
    return dsm_recipe_parse(r, MINIMAL, strlen(MINIMAL), "r.yaml", &set, 1, err);
}

static void defaults_are_in_place(void **state)
{
    (void)state;
    dsm_err err;
    dsm_recipe r;
    assert_ok(parse(&r, MINIMAL, &err));
    assert_string_equal(r.model, "m.json");
    assert_int_equal(r.data.train.n, 1);
    assert_string_equal(r.data.train.item[0].dir, "d");
    assert_true(r.data.train.item[0].weight == 1.0);
    assert_string_equal(r.data.valid, "");
    assert_int_equal(r.steps, 10);
    assert_int_equal(r.seed, 1);
    assert_true(r.optimizer.beta2 == 0.95);
    assert_int_equal(r.schedule.at.n, 2);
    assert_true(r.schedule.at.item[1] == 0.9);
    assert_int_equal(r.schedule.kind, DSM_SCHEDULE_STEP_DECAY);
}

static void every_form_is_read(void **state)
{
    (void)state;
    dsm_err err;
    dsm_recipe r;
    assert_ok(parse(&r,
                    "run: \"runs/\\u00e9\"\n"
                    "model: m\n"
                    "data:\n"
                    "  train:\n"
                    "    - {dir: a, weight: 2.5}\n"
                    "    - b\n"
                    "  valid: v\n"
                    "steps: 4000\n"
                    "optimizer.peak_lr: 4.2e-4\n"
                    "schedule: {kind: cosine, at: 0.5}\n"
                    "batch: {ramp: {from: 8, tokens: 1000000}}\n"
                    "sample: {prompts: [\"Es war\", 'x: y']}\n",
                    &err));
    assert_string_equal(r.run, "runs/\xc3\xa9");
    assert_int_equal(r.data.train.n, 2);
    assert_true(r.data.train.item[0].weight == 2.5 && r.data.train.item[1].weight == 1.0);
    assert_string_equal(r.data.train.item[1].dir, "b");
    assert_true(r.optimizer.peak_lr == 4.2e-4);
    assert_int_equal(r.schedule.kind, DSM_SCHEDULE_COSINE);
    assert_int_equal(r.schedule.at.n, 1);
    assert_int_equal(r.batch.ramp.tokens, 1000000);
    assert_string_equal(r.sample.prompts.item[1], "x: y");
}

/* Each line is wrong in its own way; the message names line, key, found and expected. */
static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {MINIMAL "scedule: {}\n", "r.yaml:4: unknown key scedule; did you mean schedule?"},
        {MINIMAL "schedule:\n  warmpu: 3\n",
         "r.yaml:5: unknown key schedule.warmpu; did you mean schedule.warmup?"},
        {MINIMAL "peak_lr: 3\n", "r.yaml:4: unknown key peak_lr; did you mean optimizer.peak_lr?"},
        {MINIMAL "qqqqqqqqqqqq: 3\n", "r.yaml:4: unknown key qqqqqqqqqqqq"},
        {MINIMAL "seed: one\n", "r.yaml:4: seed: found \"one\", expected an integer, at least 0"},
        {MINIMAL "seed: 1.5\n", "r.yaml:4: seed: found \"1.5\", expected an integer"},
        {MINIMAL "seed: '1'\n", "r.yaml:4: seed: found \"1\", expected an integer"},
        {MINIMAL "seed: 99999999999999999999\n", "seed: found \"99999999999999999999\""},
        {MINIMAL "optimizer: {beta1: 1}\n",
         "r.yaml:4: optimizer.beta1: found \"1\", expected a number, 0 to 0.999999"},
        {MINIMAL "optimizer: {peak_lr: .nan}\n", "optimizer.peak_lr: found \".nan\""},
        {MINIMAL "optimizer: {peak_lr: inf}\n", "optimizer.peak_lr: found \"inf\""},
        {MINIMAL "optimizer: 3\n", "r.yaml:4: optimizer: found \"3\", expected a group of keys"},
        {MINIMAL "schedule: {kind: linear}\n", "found \"linear\", expected step_decay | constant | "
                                               "cosine"},
        {MINIMAL "schedule: {at: [0.9, 0.8]}\n", "schedule.at: found 0.8 after 0.9"},
        {MINIMAL "schedule: {at: [x]}\n", "schedule.at: found \"x\", expected a number, 0 to 1"},
        {MINIMAL "steps: 11\n", "r.yaml:4: steps: given twice"},
        {MINIMAL "run: [a]\n", "run: found a list, expected text"},
        {"model: m\ndata: {train: {path: d}}\nsteps: 1\n", "expected a path or {dir: PATH"},
        {"model: m\ndata: {train: [{weight: 1}]}\nsteps: 1\n", "expected a path or {dir: PATH"},
        {"model: m\n", "r.yaml: missing data.train, steps, which has no default"},
        {"", "r.yaml: missing model, data.train, steps"},
        {"- a\n", "the file: found a list, expected key: value lines"},
        {"a: b: c\n", "r.yaml:1: not YAML"},
        {MINIMAL "---\nseed: 2\n", "found a second document"},
        {MINIMAL "batch: {sequences: 4, micro: 8}\n",
         "batch.micro: found 8, expected at most batch.sequences (4)"},
        {MINIMAL "batch: {ramp: {from: 4}}\n", "batch.ramp: found from 4, tokens 0"},
        {MINIMAL "sample: {every: 5}\n", "sample.prompts: found none"},
        {MINIMAL "balance: {devices: 2, device_limit: 3}\n", "balance.device_limit: found 3"},
        {MINIMAL "run: \"\"\n", "run: found nothing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_err err = {0};
        dsm_recipe r;
        dsm_status status = parse(&r, cases[i].text, &err);
        if (status == DSM_OK) fail_msg("case %zu was accepted:\n%s", i, cases[i].text);
        if (!test_contains(err.msg, cases[i].message))
            fail_msg("case %zu: message \"%s\" lacks \"%s\"", i, err.msg, cases[i].message);
    }
}

static void overrides_follow_the_file(void **state)
{
    (void)state;
    dsm_err err;
    dsm_recipe r;
    assert_ok(parse_set(&r, "optimizer.peak_lr=3e-4", &err));
    assert_true(r.optimizer.peak_lr == 3e-4);
    assert_ok(parse_set(&r, "schedule={kind: cosine, warmup: 7}", &err));
    assert_int_equal(r.schedule.kind, DSM_SCHEDULE_COSINE);
    assert_int_equal(r.schedule.warmup, 7);
    assert_ok(parse_set(&r, "data.train=[{dir: x, weight: 3}]", &err));
    assert_string_equal(r.data.train.item[0].dir, "x");
    assert_ok(parse_set(&r, "schedule.at=", &err)); /* nothing: the default */
    assert_int_equal(r.schedule.at.n, 2);
    assert_fails(parse_set(&r, "steps=", &err), DSM_EFORMAT, "missing steps");
    assert_fails(parse_set(&r, "peak_lr=1", &err), DSM_EUSAGE,
                 "--set: unknown key peak_lr; did you mean optimizer.peak_lr?");
    assert_fails(parse_set(&r, "steps=many", &err), DSM_EUSAGE,
                 "--set: steps: found \"many\", expected an integer");
    assert_fails(parse_set(&r, "steps", &err), DSM_EUSAGE, "expected key=value");
}

static void resuming_keeps_the_past(void **state)
{
    (void)state;
    dsm_err err;
    dsm_recipe r;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "recipe.yaml");
    test_write_file(path, MINIMAL, strlen(MINIMAL));
    static const char *const kept[] = {"seed=2", "data={train: e}", "data.seq_len=7",
                                       "batch.ramp.from=2", "batch={micro: 2}"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_fails(dsm_recipe_resume(&r, path, &kept[i], 1, &err), DSM_EUSAGE,
                     "a resumed run keeps");
    const char *free_key = "steps=20";
    assert_ok(dsm_recipe_resume(&r, path, &free_key, 1, &err));
    assert_int_equal(r.steps, 20);
    test_remove_dir(dir);
}

static void resolved_copy_reads_back(void **state)
{
    (void)state;
    dsm_err err;
    dsm_recipe a, b;
    assert_ok(parse(&a,
                    MINIMAL "run: \"tab\\t quote\\\" back\\\\ \\u2028 \\U0001f600 nel\\x85\"\n"
                            "optimizer: {peak_lr: 0.1, eps: 1.2345678901234567e-9}\n"
                            "sample: {every: 1, prompts: [\"a\\nb\", \"\", \"# no\"]}\n",
                    &err));
    char *text = dsm_recipe_text(&a);
    assert_non_null(text);
    assert_ok(parse(&b, text, &err));
    assert_memory_equal(&a, &b, sizeof a);
    assert_non_null(strstr(text, "peak_lr: 0.1\n"));
    free(text);
}

/* docs/recipe.md holds the table as this program prints it. */
static void documentation_is_the_table(void **state)
{
    (void)state;
    dsm_err err;
    dsm_buf doc = {0}, table = {0};
    assert_ok(dsm_fs_read(&doc, TEST_SOURCE_DIR "/docs/recipe.md", 1 << 20, &err));
    dsm_settings_markdown(dsm_recipe_table, dsm_recipe_rows, &table);
    if (getenv("DSM_PRINT_RECIPE_TABLE")) fputs(table.data, stdout);
    assert_non_null(strstr(doc.data, table.data));
    dsm_buf_free(&doc);
    dsm_buf_free(&table);
}

/* Every recipe in configs/ reads, and so does the model it names. */
static void shipped_recipes_are_valid(void **state)
{
    (void)state;
    glob_t found;
    dsm_err err;
    size_t n = 0;
    static const char *const patterns[] = {"/configs/*.yaml", "/configs/paper/*.yaml",
                                           "/configs/mini/*.yaml"};
    for (size_t p = 0; p < 3; p++) {
        char pattern[1024];
        snprintf(pattern, sizeof pattern, "%s%s", TEST_SOURCE_DIR, patterns[p]);
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        for (size_t i = 0; i < found.gl_pathc; i++, n++) {
            dsm_recipe r;
            dsm_model_config c;
            char model[3000];
            assert_ok(dsm_recipe_read(&r, found.gl_pathv[i], NULL, 0, &err));
            snprintf(model, sizeof model, "%s/%s", TEST_SOURCE_DIR, r.model);
            assert_ok(dsm_model_config_read(&c, model, &err));
            assert_true(r.data.seq_len <= c.max_position_embeddings);
        }
        globfree(&found);
    }
    assert_true(n >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_in_place),      cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(mistakes_are_named),         cmocka_unit_test(overrides_follow_the_file),
        cmocka_unit_test(resuming_keeps_the_past),    cmocka_unit_test(resolved_copy_reads_back),
        cmocka_unit_test(documentation_is_the_table), cmocka_unit_test(shipped_recipes_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
