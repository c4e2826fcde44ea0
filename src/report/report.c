/* SPDX-License-Identifier: MIT */
/* A report from its paths to its files; see dsmoe/report.h. First everything is read, then each
 * form is written to memory and put in place whole. */
#include "dsmoe/report.h"

#include "core/fs.h"
#include "report/page.h"
#include "report/tables.h"

#include <stdlib.h>
#include <string.h>

/* --- files ------------------------------------------------------------------------------------ */

static dsm_status put_file(const char *path, dsm_buf *text, dsm_err *err)
{
    dsm_buf_add(text, "", 0); /* an empty file has bytes to point at, too */
    dsm_status status = dsm_buf_check(text, path, err);
    if (status == DSM_OK) status = dsm_fs_replace(path, text->data, text->len, err);
    dsm_buf_free(text);
    return status;
}

static dsm_status write_html(const dsm_sources *r, const dsm_report_options *o,
                             dsm_report_summary *s, dsm_err *err)
{
    dsm_page page = {.gnuplot = o->gnuplot ? o->gnuplot : "gnuplot"};
    dsm_page_write(&page, r);
    s->plots = page.n_plots;
    s->missing = page.n_failed;
    return put_file(o->html, &page.out, err);
}

static dsm_status write_csv_file(const dsm_sources *r, const char *path, unsigned parts,
                                 dsm_err *err)
{
    dsm_buf text = {0};
    dsm_csv_write(&text, r->outcomes, r->n, parts);
    return put_file(path, &text, err);
}

static dsm_status write_csv(const dsm_sources *r, const char *path, dsm_err *err)
{
    static const struct {
        const char *name;
        dsm_csv_part part;
    } files[] = {{"summary.csv", DSM_CSV_SUMMARY},
                 {"curves.csv", DSM_CSV_CURVES},
                 {"loads.csv", DSM_CSV_LOADS}};
    if (dsm_name_ends_in(path, ".csv"))
        return write_csv_file(r, path, DSM_CSV_SUMMARY | DSM_CSV_CURVES | DSM_CSV_LOADS, err);
    DSM_TRY(dsm_fs_make_dirs(path, err));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *file = dsm_fs_join(path, files[i].name);
        if (!file) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
        dsm_status status = write_csv_file(r, file, files[i].part, err);
        free(file);
        DSM_TRY(status);
    }
    return DSM_OK;
}

static dsm_status write_markdown(const dsm_sources *r, const char *path, dsm_err *err)
{
    dsm_buf text = {0};
    dsm_markdown_write(&text, r->outcomes, r->n);
    return put_file(path, &text, err);
}

static dsm_status write_all(const dsm_sources *r, const dsm_report_options *o,
                            dsm_report_summary *s, dsm_err *err)
{
    if (o->html) DSM_TRY(write_html(r, o, s, err));
    if (o->csv) DSM_TRY(write_csv(r, o->csv, err));
    if (o->markdown) DSM_TRY(write_markdown(r, o->markdown, err));
    return DSM_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void count(const dsm_sources *r, dsm_report_summary *s)
{
    s->experiments = r->n_experiments;
    s->broken = r->n_broken;
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k < r->outcomes[i].n_runs; k++)
            s->runs += r->outcomes[i].runs[k].n;
}

dsm_status dsm_report_make(const char *const *paths, int n, const dsm_report_options *o,
                           dsm_report_summary *summary, dsm_err *err)
{
    dsm_sources r;
    dsm_report_summary s = {0};
    DSM_TRY(dsm_sources_read(&r, paths, n, err));
    count(&r, &s);
    dsm_status status = write_all(&r, o, &s, err);
    dsm_sources_free(&r);
    if (summary) *summary = s;
    return status;
}
