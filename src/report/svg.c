/* SPDX-License-Identifier: MIT */
/* Dressing gnuplot's SVG; see svg.h. One walk over the text: at each place the first rule that fits
 * replaces what it found. Limits: it knows the output of gnuplot 5's svg terminal, not SVG. */
#include "report/svg.h"

#include "report/markup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- rules ------------------------------------------------------------------------------------ */

/* Bytes of s that a rule takes, appending what stands for them; 0: it does not fit here. */
typedef size_t (*rule)(dsm_buf *out, const char *s);

static size_t take_word(dsm_buf *out, const char *s)
{
    static const struct {
        const char *find, *put;
    } words[] = {
        {"'black'", "'currentColor'"},      {"\"black\"", "\"currentColor\""},
        {"'white'", "'var(--ground)'"},     {"\"white\"", "\"var(--ground)\""},
        {" font-family=\"sans\"", ""},      {" stroke-linecap=\"butt\"", ""},
        {" stroke-linejoin=\"miter\"", ""},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].find);
        if (strncmp(s, words[i].find, n) != 0) continue;
        dsm_buf_str(out, words[i].put);
        return n;
    }
    return 0;
}

/* "rgb(  1,   0,  12)" */
static size_t take_colour(dsm_buf *out, const char *s)
{
    long part[3];
    if (strncmp(s, "rgb(", 4) != 0) return 0;
    const char *at = s + 4;
    for (int i = 0; i < 3; i++) {
        char *end;
        part[i] = strtol(at, &end, 10);
        if (end == at || *end != (i < 2 ? ',' : ')')) return 0;
        at = end + 1;
    }
    if (part[0] != 1 || part[1] != 0) return 0;
    dsm_buf_fmt(out, "var(--c%ld)", part[2]);
    return (size_t)(at - s);
}

/* Names of drawings' parts would stand many times on a page. */
static size_t skip_name(dsm_buf *out, const char *s)
{
    (void)out;
    static const char begin[] = " id=\"gnuplot_";
    if (strncmp(s, begin, sizeof begin - 1) != 0) return 0;
    const char *end = strchr(s + sizeof begin - 1, '"');
    return end ? (size_t)(end - s) + 1 : 0;
}

/* An element that a page has no use for, up to its end. */
static size_t skip_element(dsm_buf *out, const char *s)
{
    (void)out;
    static const char *const names[] = {"title>", "desc>"};
    if (*s != '<') return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(s + 1, names[i], n) != 0) continue;
        const char *end = strstr(s + 1 + n, names[i]);
        return end ? (size_t)(end - s) + n : 0;
    }
    return 0;
}

/* A group that draws nothing: "<g …>\n</g>\n". */
static size_t skip_empty_group(dsm_buf *out, const char *s)
{
    (void)out;
    if (strncmp(s, "<g ", 3) != 0) return 0;
    const char *end = strchr(s, '>');
    return end && strncmp(end, ">\n</g>\n", 7) == 0 ? (size_t)(end - s) + 7 : 0;
}

static void rewrite(dsm_buf *out, const char *s, const char *end)
{
    static const rule rules[] = {take_word, take_colour, skip_name, skip_element, skip_empty_group};
    while (s < end) {
        size_t taken = 0;
        for (size_t i = 0; i < sizeof rules / sizeof *rules && taken == 0; i++)
            taken = rules[i](out, s);
        if (taken == 0) dsm_buf_add(out, s, taken = 1);
        s += taken;
    }
}

/* --- the drawing ------------------------------------------------------------------------------ */

/* The parts of gnuplot's text, each from its first byte to the next one's. */
typedef struct parts {
    double width, height;
    const char *canvas, *defs, *after_defs, *end;
} parts;

static bool find_parts(parts *p, const char *s)
{
    const char *box = strstr(s, "viewBox=\"0 0 ");
    if (!box || sscanf(box, "viewBox=\"0 0 %lf %lf\"", &p->width, &p->height) != 2) return false;
    p->canvas = strstr(box, "<g id=\"gnuplot_canvas\">");
    p->defs = p->canvas ? strstr(p->canvas, "<defs>") : NULL;
    p->after_defs = p->defs ? strstr(p->defs, "</defs>") : NULL;
    if (!p->after_defs) return false;
    p->after_defs += strlen("</defs>");
    p->end = strstr(p->after_defs, "</svg>");
    return p->end != NULL;
}

dsm_status dsm_svg_dress(dsm_buf *out, const dsm_buf *raw, const char *label, dsm_buf *shared,
                         dsm_err *err)
{
    parts p;
    if (raw->len == 0 || !find_parts(&p, raw->data))
        return dsm_fail(err, DSM_EFORMAT, "gnuplot: found no SVG in its output");
    dsm_buf_fmt(out, "<svg class=\"plot\" viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"",
                p.width, p.height);
    dsm_html_text(out, label);
    dsm_buf_str(out, "\">");
    rewrite(out, p.canvas, p.defs);
    rewrite(out, p.after_defs, p.end);
    dsm_buf_str(out, "</svg>\n");
    if (shared) rewrite(shared, p.defs, p.after_defs);
    return DSM_OK;
}
