/* SPDX-License-Identifier: MIT */
#include "report/markup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NO_VALUE "\xe2\x80\x93" /* en dash */

/* Append s with each byte's own text where the form has one. keep: a control byte that stays. */
static void escape(dsm_buf *out, const char *s, const char *(*special)(char c), char keep)
{
    if (!s) return;
    dsm_buf whole = {0};
    dsm_utf8_repair(&whole, s, strlen(s));
    for (size_t i = 0; i < whole.len; i++) {
        char c = whole.data[i];
        const char *text = special(c);
        if (text)
            dsm_buf_str(out, text);
        else if (((unsigned char)c < 0x20 || c == 0x7F) && c != keep)
            dsm_buf_str(out, " ");
        else
            dsm_buf_add(out, &c, 1);
    }
    if (whole.failed) out->failed = true;
    dsm_buf_free(&whole);
}

/* --- HTML ------------------------------------------------------------------------------------- */

static const char *html_special(char c)
{
    return c == '<'    ? "&lt;"
           : c == '>'  ? "&gt;"
           : c == '&'  ? "&amp;"
           : c == '"'  ? "&quot;"
           : c == '\'' ? "&#39;"
                       : NULL;
}

void dsm_html_text(dsm_buf *out, const char *s)
{
    escape(out, s, html_special, 0);
}

void dsm_html_element(dsm_buf *out, const char *name, const char *class_name, const char *s)
{
    if (class_name)
        dsm_buf_fmt(out, "<%s class=\"%s\">", name, class_name);
    else
        dsm_buf_fmt(out, "<%s>", name);
    dsm_html_text(out, s);
    dsm_buf_fmt(out, "</%s>", name);
}

void dsm_html_pre(dsm_buf *out, const char *s)
{
    dsm_buf_str(out, "<pre tabindex=\"0\">");
    escape(out, s, html_special, '\n');
    dsm_buf_str(out, "</pre>\n");
}

/* --- CSV -------------------------------------------------------------------------------------- */

static const char *csv_special(char c)
{
    return c == '"' ? "\"\"" : NULL;
}

void dsm_csv_field(dsm_buf *out, const char *s)
{
    bool quoted = s && strpbrk(s, ",\"\r\n");
    if (quoted) dsm_buf_str(out, "\"");
    escape(out, s, csv_special, 0);
    if (quoted) dsm_buf_str(out, "\"");
}

/* --- Markdown --------------------------------------------------------------------------------- */

static const char *markdown_special(char c)
{
    return c == '|'    ? "\\|"
           : c == '*'  ? "\\*"
           : c == '_'  ? "\\_"
           : c == '`'  ? "\\`"
           : c == '\\' ? "\\\\"
           : c == '<'  ? "&lt;"
           : c == '['  ? "\\["
                       : NULL;
}

void dsm_markdown_text(dsm_buf *out, const char *s)
{
    escape(out, s, markdown_special, 0);
}

/* --- numbers ---------------------------------------------------------------------------------- */

dsm_shown dsm_show_fixed(double x, int decimals)
{
    dsm_shown s = {NO_VALUE};
    if (isnan(x)) return s;
    if (fabs(x) >= 1e15 || (x != 0 && fabs(x) < 0.5 * pow(10, -decimals)))
        snprintf(s.text, sizeof s.text, "%.3g", x);
    else
        snprintf(s.text, sizeof s.text, "%.*f", decimals, x);
    return s;
}

dsm_shown dsm_show_count(double x)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    dsm_shown s = {NO_VALUE};
    if (isnan(x)) return s;
    size_t i = 0;
    while (fabs(x) >= 999.5 && i + 1 < sizeof prefixes / sizeof *prefixes) {
        x /= 1000.0;
        i++;
    }
    snprintf(s.text, sizeof s.text, "%.3g%s", x, prefixes[i]);
    return s;
}

dsm_shown dsm_show_duration(double seconds)
{
    dsm_shown s = {NO_VALUE};
    if (isnan(seconds)) return s;
    if (seconds < 100)
        snprintf(s.text, sizeof s.text, "%.3g s", seconds);
    else if (seconds < 100 * 60)
        snprintf(s.text, sizeof s.text, "%.3g min", seconds / 60);
    else
        snprintf(s.text, sizeof s.text, "%.3g h", seconds / 3600);
    return s;
}

dsm_shown dsm_show_spread(double mean, double deviation, int decimals)
{
    dsm_shown s = dsm_show_fixed(mean, decimals);
    if (isnan(mean) || isnan(deviation)) return s;
    dsm_shown d = dsm_show_fixed(deviation, decimals), both;
    snprintf(both.text, sizeof both.text, "%.20s \xc2\xb1 %.20s", s.text, d.text);
    return both;
}
