/* SPDX-License-Identifier: MIT */
/* report: what is escaped, what curves become, what is read of a results file and of a run, and
 * what becomes of damaged ones. Drawing is tested by tests/cli/test_report_page.py. */
#include "support/support.h"

#include "core/fs.h"
#include "dsmoe/report.h"
#include "report/curve.h"
#include "report/gnuplot.h"
#include "report/markup.h"
#include "report/outcome.h"
#include "report/portrait.h"
#include "report/recipe_lines.h"
#include "report/svg.h"
#include "report/tables.h"
#include "run/store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define assert_text(buf, expected)                                                                 \
    do {                                                                                           \
        assert_string_equal((buf).data, expected);                                                 \
        dsm_buf_clear(&(buf));                                                                     \
    } while (0)

/* --- text ------------------------------------------------------------------------------------- */

static void every_form_escapes_what_it_must(void **state)
{
    (void)state;
    dsm_buf b = {0};
    dsm_html_text(&b, "<a href=\"x\">&'\n\x01\xff");
    assert_text(b, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;  \xef\xbf\xbd");
    dsm_html_pre(&b, "a\n<b>");
    assert_text(b, "<pre tabindex=\"0\">a\n&lt;b&gt;</pre>\n");
    dsm_csv_field(&b, "plain");
    assert_text(b, "plain");
    dsm_csv_field(&b, "a,\"b\"");
    assert_text(b, "\"a,\"\"b\"\"\"");
    dsm_markdown_text(&b, "a|b*c<d>[e]");
    assert_text(b, "a\\|b\\*c&lt;d>\\[e]");
    dsm_gnuplot_string(&b, "it's `id` @m \\n\n");
    assert_text(b, "'it''s `id` @m \\n '");
    dsm_buf_free(&b);
}

static void numbers_are_shown_for_people(void **state)
{
    (void)state;
    assert_string_equal(dsm_show_fixed(2.2434, 3).text, "2.243");
    assert_string_equal(dsm_show_fixed(NAN, 3).text, "\xe2\x80\x93");
    assert_string_equal(dsm_show_fixed(0.00012, 3).text, "0.00012"); /* not 0.000 */
    assert_string_equal(dsm_show_spread(2.2434, 0.0041, 3).text, "2.243 \xc2\xb1 0.004");
    assert_string_equal(dsm_show_spread(2.2434, NAN, 3).text, "2.243");
    assert_string_equal(dsm_show_count(45875200).text, "45.9M");
    assert_string_equal(dsm_show_duration(41).text, "41 s");
    assert_string_equal(dsm_show_duration(720).text, "12 min");
    assert_string_equal(dsm_show_duration(12240).text, "3.4 h");
}

/* --- curves ----------------------------------------------------------------------------------- */

static dsm_curve line_of(double first, double step, size_t n, double slope)
{
    dsm_curve c = {0};
    for (size_t i = 0; i < n; i++)
        assert_true(dsm_curve_add(&c, first + step * (double)i, slope * (double)i));
    return c;
}

static void smoothing_keeps_slopes_and_skips_gaps(void **state)
{
    (void)state;
    dsm_curve c = line_of(0, 5, 200, 2), smooth = {0};
    assert_true(dsm_curve_smooth(&smooth, &c, 7));
    assert_int_equal(smooth.n, 200);
    for (size_t i = 0; i < 200; i++)
        assert_true(fabs(smooth.y[i] - c.y[i]) < 1e-9); /* to the very ends */
    dsm_curve_free(&smooth);
    c.y[100] += 15;
    c.y[50] = NAN;
    assert_true(dsm_curve_smooth(&smooth, &c, 7));
    assert_true(fabs(smooth.y[100] - 201) < 1e-9); /* a bump of 15 spreads over 15 points */
    assert_true(fabs(smooth.y[50] - 100) < 1e-9);
    dsm_curve_free(&smooth);
    dsm_curve_free(&c);
}

static void means_are_taken_where_all_were_measured(void **state)
{
    (void)state;
    dsm_curve a = line_of(0, 10, 5, 1), b = line_of(10, 10, 3, 1), mean = {0}, thin = {0};
    const dsm_curve *both[] = {&a, &b};
    assert_true(dsm_curve_mean(&mean, both, 2));
    assert_int_equal(mean.n, 3); /* 10, 20, 30 */
    assert_true(mean.x[0] == 10 && mean.y[0] == 0.5 && mean.y[2] == 2.5);
    assert_true(dsm_curve_thin(&thin, &a, 3));
    assert_true(thin.n == 3 && thin.x[0] == 0 && thin.x[1] == 20 && thin.x[2] == 40);
    const double values[] = {1, NAN, 3};
    dsm_moments m = dsm_moments_of(values, 3);
    assert_true(m.n == 2 && m.mean == 2 && fabs(m.deviation - sqrt(2)) < 1e-12);
    assert_true(isnan(dsm_moments_of(values, 1).deviation) &&
                isnan(dsm_moments_of(values, 0).mean));
    dsm_curve_free(&a);
    dsm_curve_free(&b);
    dsm_curve_free(&mean);
    dsm_curve_free(&thin);
}

static void recipes_are_lists_of_keys(void **state)
{
    (void)state;
    dsm_recipe_lines r;
    dsm_recipe_lines_read(
        &r, "# resolved\nrun: \"a: b\"\nbatch:\n  sequences: 64\n  ramp:\n    from: 0\n"
            "optimizer:\n  peak_lr: 0.004");
    assert_int_equal(r.n, 4);
    assert_string_equal(dsm_recipe_lines_find(&r, "run"), "\"a: b\"");
    assert_string_equal(dsm_recipe_lines_find(&r, "batch.ramp.from"), "0");
    assert_string_equal(dsm_recipe_lines_find(&r, "optimizer.peak_lr"), "0.004");
    assert_null(dsm_recipe_lines_find(&r, "peak_lr"));
}

/* --- gnuplot's SVG ---------------------------------------------------------------------------- */

static const char drawing[] =
    "<?xml version=\"1.0\"?>\n<svg \n viewBox=\"0 0 42 27\"\n>\n<title>t</title>\n"
    "<g id=\"gnuplot_canvas\">\n<defs><circle id='gpDot' stroke='black'/></defs>\n"
    "<g fill=\"none\" color=\"black\">\n</g>\n<g id=\"plot_1\" ><title>secret</title>\n"
    "<path stroke='rgb(  1,   0,  12)' fill='rgb(  2,   0,  12)'/><text fill=\"black\">rgb</text>"
    "</g>\n</g>\n</svg>\n";

static void a_drawing_takes_the_page_s_colours(void **state)
{
    (void)state;
    dsm_err err;
    dsm_buf raw = {0}, out = {0}, shared = {0};
    dsm_buf_str(&raw, drawing);
    assert_ok(dsm_svg_dress(&out, &raw, "a \"b\"", &shared, &err));
    assert_true(test_contains(out.data,
                              "viewBox=\"0 0 42 27\" role=\"img\" aria-label=\"a &quot;b&quot;\""));
    assert_true(test_contains(out.data, "stroke='var(--c12)' fill='rgb(  2,   0,  12)'"));
    assert_true(test_contains(out.data, "<text fill=\"currentColor\">rgb</text>"));
    assert_false(test_contains(out.data, "secret"));
    assert_false(test_contains(out.data, "gpDot"));
    assert_false(test_contains(out.data, "<g fill"));
    assert_true(test_contains(shared.data, "gpDot"));
    dsm_buf_clear(&raw);
    dsm_buf_str(&raw, "not a drawing");
    assert_fails(dsm_svg_dress(&out, &raw, "x", NULL, &err), DSM_EFORMAT, "no SVG");
    dsm_buf_free(&raw);
    dsm_buf_free(&out);
    dsm_buf_free(&shared);
}

/* --- processes -------------------------------------------------------------------------------- */

static void a_program_that_is_missing_or_fails_is_told(void **state)
{
    (void)state;
    dsm_err err;
    dsm_buf script = {0}, out = {0};
    for (int i = 0; i < 20000; i++)
        dsm_buf_str(&script, "more than a pipe holds\n");
    assert_fails(dsm_gnuplot_run(&out, "no-such-gnuplot", &script, 5, &err), DSM_ENOTFOUND,
                 "no-such-gnuplot");
    assert_fails(dsm_gnuplot_run(&out, "false", &script, 5, &err), DSM_EIO, "failed");
    assert_int_equal(out.len, 0);
    dsm_buf_free(&script);
    dsm_buf_free(&out);
}

/* --- an experiment's folder ------------------------------------------------------------------- */

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    test_write_file(path, text, strlen(text));
}

static void make_run(const char *root, const char *name)
{
    dsm_err err;
    dsm_store *s;
    char dir[512], path[600];
    snprintf(dir, sizeof dir, "%s/runs/%s", root, name);
    snprintf(path, sizeof path, "%s/runs.db", dir);
    assert_ok(dsm_fs_make_dirs(dir, &err));
    assert_ok(dsm_store_open(&s, path, &err));
    for (int64_t step = 10; step <= 1000; step += 10) {
        assert_ok(dsm_store_metric(s, step, "loss", 6.0 - 0.002 * (double)step, &err));
        assert_ok(dsm_store_metric(s, step, "max_vio", 1.5, &err));
        assert_ok(dsm_store_metric(s, step, "tokens", 100.0 * (double)step, &err));
        assert_ok(dsm_store_metric(s, step, "tokens_per_s", 500, &err));
        for (int64_t e = 0; e < 4; e++)
            assert_ok(dsm_store_load(s, step, 1, e, e == 2 ? 50 : 10, &err));
    }
    assert_ok(dsm_store_eval(s, 1000, "valid", "loss", 4.25, &err));
    assert_ok(dsm_store_eval(s, 1000, "valid", "perplexity", 70.1, &err));
    assert_ok(dsm_store_eval(s, 1000, "valid", "max_vio", 1.25, &err));
    assert_ok(dsm_store_sample(s, 1000, "Once <", "upon & a time", &err));
    dsm_store_close(s);
}

static const char results[] =
    "{\"experiment\": \"table1\", \"title\": \"A <b>\", \"metric\": \"loss\", \"size\": \"smoke\","
    " \"settings\": {\"steps\": 1000}, \"runs\": ["
    "  {\"name\": \"dense\", \"label\": \"Dense\", \"paper\": 2.06, \"params\": 1000,"
    "   \"seeds\": [{\"seed\": 1, \"dir\": \"runs/dense-s1\", \"state\": \"done\", \"loss\": 4.2},"
    "               {\"seed\": 2, \"dir\": \"runs/dense-s2\", \"state\": \"done\", \"loss\": "
    "4.4}]},"
    "  {\"name\": \"moe\", \"paper\": null, \"seeds\": ["
    "   {\"seed\": 1, \"dir\": \"runs/moe-s1\", \"state\": \"failed\", \"error\": \"it burst\"}]}],"
    " \"analyses\": [{\"run\": \"dense\", \"kind\": \"active\", \"points\": ["
    "   {\"x\": 3, \"paper\": 1.9, \"seeds\": [{\"seed\": 1, \"loss\": 4.5}]}]}],"
    " \"claims\": [{\"text\": \"a | b\", \"verdict\": \"holds\", \"figures\": \"4.3\"}]}";

static int make_root(void **state)
{
    dsm_err err;
    char folder[512];
    *state = test_make_dir();
    make_run(*state, "dense-s1");
    snprintf(folder, sizeof folder, "%s/results", (char *)*state);
    if (dsm_fs_make_dirs(folder, &err) != DSM_OK) return -1;
    write_text(*state, "results/table1.json", results);
    return 0;
}

static int drop_root(void **state)
{
    test_remove_dir(*state);
    return 0;
}

static void a_run_is_read_whole(void **state)
{
    dsm_err err;
    dsm_run_record r;
    assert_ok(dsm_run_record_read(&r, test_path(*state, "runs/dense-s1"), &err));
    assert_int_equal(r.train.n, 100);
    assert_true(dsm_curve_last(&r.valid) == 4.25 && r.perplexity == 70.1 && isnan(r.bits_per_byte));
    assert_true(r.steps == 1000 && r.tokens == 100000 && fabs(r.seconds - 200) < 1e-9);
    assert_int_equal(r.loads.n_layers, 1);
    assert_int_equal(r.loads.layer[0], 1);
    assert_int_equal(r.loads.E, 4);
    assert_int_equal(r.loads.columns, DSM_LOAD_COLUMNS);
    assert_true(fabs(r.loads.share[2 * r.loads.columns + 7] - 2.5) < 1e-12); /* 50 of 80, of 4 */
    assert_int_equal(r.n_samples, 1);
    assert_string_equal(r.samples[0].text, "upon & a time");
    dsm_run_record_free(&r);
}

static void results_are_read_with_their_runs(void **state)
{
    dsm_err err;
    dsm_outcome o;
    assert_ok(dsm_outcome_read(&o, test_path(*state, "results/table1.json"), &err));
    assert_int_equal(o.n_runs, 2);
    dsm_moments m = dsm_run_figure(&o.runs[0], DSM_FIGURE_LOSS);
    assert_true(m.n == 2 && fabs(m.mean - 4.3) < 1e-12);
    assert_true(o.runs[0].paper == 2.06 && isnan(o.runs[1].paper));
    assert_string_equal(o.runs[1].label, "moe");
    assert_int_equal(dsm_run_figure(&o.runs[1], DSM_FIGURE_LOSS).n, 0);
    assert_int_equal(o.runs[0].seeds[0].record.train.n, 100);
    assert_true(test_contains(o.runs[0].seeds[1].problem, "found no run directory"));
    assert_true(o.sweeps[0].points[0].x == 3 && o.sweeps[0].points[0].loss[0] == 4.5);
    assert_string_equal(o.claims[0].verdict, "holds");
    dsm_outcome_free(&o);
}

static void damaged_results_are_told_by_place(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{", "bad.json"},
        {"[]", "found array, expected an object"},
        {"{}", "experiment is missing"},
        {"{\"experiment\": 3}", "experiment: found integer, expected string"},
        {"{\"experiment\": \"x\", \"runs\": {}}", "runs: found object, expected array"},
        {"{\"experiment\": \"x\", \"runs\": [1]}", "runs[0]: found integer, expected object"},
        {"{\"experiment\": \"x\", \"runs\": [{\"name\": \"a\", \"paper\": \"b\"}]}",
         "runs[0]: paper: found string, expected number"},
        {"{\"experiment\": \"x\", \"runs\": [{\"name\": \"a\", \"seeds\": [{\"seed\": 1}]}]}",
         "state is missing"},
        {"{\"experiment\": \"x\", \"analyses\": [{\"run\": \"a\"}]}",
         "analyses[0]: kind is missing"},
        {"{\"experiment\": \"x\", \"claims\": [{\"text\": \"a\"}]}",
         "claims[0]: verdict is missing"},
    };
    dsm_err err;
    dsm_outcome o;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(*state, "results/bad.json", cases[i].text);
        assert_fails(dsm_outcome_read(&o, test_path(*state, "results/bad.json"), &err), DSM_EFORMAT,
                     cases[i].message);
    }
}

static void portraits_name_the_domain_an_expert_serves(void **state)
{
    dsm_err err;
    dsm_portrait p;
    write_text(
        *state, "a.json",
        "{\"model\": \"m\", \"domains\": [{\"name\": \"text\"}, {\"name\": \"code\"}],"
        " \"layers\": [{\"layer\": 1, \"max_vio\": 0.5, \"domain_share\": [[0.9, 0.1], [0.3, 0.7]],"
        " \"experts\": [{\"load\": 1.2, \"top_tokens\": [{\"text\": \" a\", \"lift\": 3}]},"
        " {\"load\": 0.8}]}]}");
    assert_ok(dsm_portrait_read(&p, test_path(*state, "a.json"), &err));
    assert_true(dsm_portrait_speaks(&p));
    assert_string_equal(p.layers[0].experts[0].domain, "text");
    assert_string_equal(p.layers[0].experts[1].domain, "code");
    assert_true(fabs(p.layers[0].experts[0].domain_lift - 1.5) < 1e-12);
    dsm_portrait_free(&p);
    write_text(*state, "a.json", "{\"model\": \"m\", \"layers\": [{\"layer\": -1}]}");
    assert_fails(dsm_portrait_read(&p, test_path(*state, "a.json"), &err), DSM_ERANGE, "layer");
}

/* --- the whole -------------------------------------------------------------------------------- */

static char *slurp(const char *path)
{
    dsm_err err;
    dsm_buf b = {0};
    assert_ok(dsm_fs_read(&b, path, 1 << 24, &err));
    return b.data;
}

static void a_page_without_gnuplot_has_its_tables(void **state)
{
    dsm_err err;
    char html[600], csv[600], markdown[600];
    const char *root = *state;
    snprintf(html, sizeof html, "%s/r.html", root);
    snprintf(csv, sizeof csv, "%s/r.csv", root);
    snprintf(markdown, sizeof markdown, "%s/r.md", root);
    const dsm_report_options o = {html, csv, markdown, "no-such-gnuplot"};
    dsm_report_summary s;
    assert_ok(dsm_report_make(&root, 1, &o, &s, &err));
    assert_true(s.experiments == 1 && s.runs == 3 && s.plots == 0 && s.missing > 2);
    char *page = slurp(html), *lines = slurp(csv), *tables = slurp(markdown);
    assert_true(test_contains(page, "A &lt;b&gt;"));
    assert_false(test_contains(page, "A <b>"));
    assert_true(test_contains(page, "4.300 \xc2\xb1 0.141"));
    assert_true(test_contains(page, "it burst"));
    assert_true(test_contains(page, "gnuplot was not found"));
    assert_true(test_contains(lines, "table1,dense,1,loss,,4.2,2.06\n"));
    assert_true(test_contains(lines, "table1,dense,1,active,3,4.5,1.9\n"));
    assert_true(test_contains(lines, "table1,dense,1,train_loss,10,5.98,\n"));
    assert_true(test_contains(tables, "| holds | a \\| b | 4.3 |"));
    free(page);
    free(lines);
    free(tables);
}

static void one_broken_thing_does_not_sink_the_rest(void **state)
{
    dsm_err err;
    char html[600], bad[512], run[512];
    snprintf(html, sizeof html, "%s/r.html", (char *)*state);
    snprintf(bad, sizeof bad, "%s/runs/bad", (char *)*state);
    snprintf(run, sizeof run, "%s/runs/dense-s1", (char *)*state);
    assert_ok(dsm_fs_make_dirs(bad, &err));
    write_text(bad, "runs.db", "this is no database, but long enough to be read as one");
    const dsm_report_options o = {html, NULL, NULL, "no-such-gnuplot"};
    dsm_report_summary s;
    const char *paths[] = {bad, run, "nowhere"};
    assert_ok(dsm_report_make(paths, 3, &o, &s, &err));
    assert_int_equal(s.broken, 2);
    char *page = slurp(html);
    assert_true(test_contains(page, "not a database"));
    assert_true(test_contains(page, "nowhere: no such file or folder"));
    assert_true(test_contains(page, "upon &amp; a time"));
    free(page);
    assert_fails(dsm_report_make(paths, 1, &o, &s, &err), DSM_EFORMAT, "not a database");
    assert_fails(dsm_report_make(paths + 2, 1, &o, &s, &err), DSM_ENOTFOUND, "nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_escapes_what_it_must),
        cmocka_unit_test(numbers_are_shown_for_people),
        cmocka_unit_test(smoothing_keeps_slopes_and_skips_gaps),
        cmocka_unit_test(means_are_taken_where_all_were_measured),
        cmocka_unit_test(recipes_are_lists_of_keys),
        cmocka_unit_test(a_drawing_takes_the_page_s_colours),
        cmocka_unit_test(a_program_that_is_missing_or_fails_is_told),
        cmocka_unit_test_setup_teardown(a_run_is_read_whole, make_root, drop_root),
        cmocka_unit_test_setup_teardown(results_are_read_with_their_runs, make_root, drop_root),
        cmocka_unit_test_setup_teardown(damaged_results_are_told_by_place, make_root, drop_root),
        cmocka_unit_test_setup_teardown(portraits_name_the_domain_an_expert_serves, make_root,
                                        drop_root),
        cmocka_unit_test_setup_teardown(a_page_without_gnuplot_has_its_tables, make_root,
                                        drop_root),
        cmocka_unit_test_setup_teardown(one_broken_thing_does_not_sink_the_rest, make_root,
                                        drop_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
