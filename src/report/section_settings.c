/* SPDX-License-Identifier: MIT */
/* How an experiment was made and how to make it again; samples of what plain runs wrote. */
#include "report/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a list of terms -------------------------------------------------------------------------- */

static void term(dsm_buf *out, const char *name, const char *value)
{
    if (!value || !*value) return;
    dsm_buf_str(out, "<div>");
    dsm_html_element(out, "dt", NULL, name);
    dsm_html_element(out, "dd", NULL, value);
    dsm_buf_str(out, "</div>\n");
}

static void duration_term(dsm_buf *out, const char *name, double seconds)
{
    if (!isnan(seconds)) term(out, name, dsm_show_duration(seconds).text);
}

static void settings_terms(dsm_buf *out, const json_t *settings)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
    {
        char name[64];
        snprintf(name, sizeof name, "%.60s", key);
        for (char *c = name; *c; c++)
            if (*c == '_') *c = ' ';
        char *text =
            json_is_string(value)
                ? strdup(json_string_value(value))
                : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        if (json_is_integer(value) && json_integer_value(value) >= 100000)
            term(out, name, dsm_show_count((double)json_integer_value(value)).text);
        else
            term(out, name, text);
        free(text);
    }
}

static void experiment_terms(dsm_buf *out, const dsm_outcome *o)
{
    char version[160];
    snprintf(version, sizeof version, "dsmoe %.40s%s%.60s", o->version ? o->version : "",
             o->commit ? ", commit " : "", o->commit ? o->commit : "");
    term(out, "size", o->size);
    settings_terms(out, json_object_get(o->file, "settings"));
    term(out, "machine", o->machine);
    if (o->version) term(out, "version", version);
    term(out, "made", o->created);
}

/* --- making it again -------------------------------------------------------------------------- */

static int most_seeds(const dsm_outcome *o)
{
    int most = 1;
    for (int i = 0; i < o->n_runs; i++)
        if (o->runs[i].n > most) most = o->runs[i].n;
    return most;
}

static void rerun(dsm_buf *out, const dsm_outcome *o)
{
    dsm_buf command = {0};
    if (o->file) {
        dsm_buf_fmt(&command, "dsmoe experiment %s", o->name);
        if (o->size) dsm_buf_fmt(&command, " --size %s", o->size);
        dsm_buf_fmt(&command, " --seeds %d", most_seeds(o));
    } else {
        dsm_buf_str(&command, "dsmoe train recipe.yaml");
    }
    dsm_html_element(out, "p", "again",
                     o->file ? "To make it again:"
                             : "To make a run again, with its "
                               "recipe as below:");
    dsm_html_pre(out, command.data);
    dsm_buf_free(&command);
}

void dsm_section_settings(dsm_page *page, const dsm_outcome *o)
{
    dsm_buf *out = &page->out;
    dsm_buf_str(out, "<h3>How it was made</h3>\n<dl class=\"terms\">\n");
    if (o->file) experiment_terms(out, o);
    duration_term(out, "time, all runs", dsm_outcome_total(o, DSM_FIGURE_SECONDS));
    duration_term(out, "processor time", dsm_outcome_total(o, DSM_FIGURE_CPU_SECONDS));
    dsm_buf_str(out, "</dl>\n");
    rerun(out, o);
    dsm_section_recipes(page, o);
}

/* --- samples ---------------------------------------------------------------------------------- */

static void samples_of(dsm_buf *out, const dsm_run_outcome *r, const dsm_run_record *record)
{
    dsm_buf_str(out, "<details open><summary>");
    dsm_html_text(out, r->label);
    dsm_buf_str(out, "</summary>\n");
    for (int i = 0; i < record->n_samples; i++) {
        const dsm_run_sample *s = &record->samples[i];
        dsm_buf_fmt(out, "<p class=\"sample\"><span class=\"step\">step %lld</span> <b>",
                    (long long)s->step);
        dsm_html_text(out, s->prompt);
        dsm_buf_str(out, "</b>");
        dsm_html_text(out, s->text);
        dsm_buf_str(out, "</p>\n");
    }
    dsm_buf_str(out, "</details>\n");
}

void dsm_section_samples(dsm_page *page, const dsm_outcome *o)
{
    bool begun = false;
    for (int i = 0; i < o->n_runs; i++) {
        const dsm_seed_outcome *s = dsm_run_first(&o->runs[i]);
        if (!s || s->record.n_samples == 0) continue;
        if (!begun) dsm_buf_str(&page->out, "<h3>What they write</h3>\n");
        begun = true;
        samples_of(&page->out, &o->runs[i], &s->record);
    }
}
