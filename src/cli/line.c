/* SPDX-License-Identifier: MIT */
/* Lines from a terminal or a pipe. While a line is being edited the terminal sends no signal for
 * Ctrl-C but the character itself, which is bound to a function here: no handler has to interrupt
 * the library. */
#include "cli/line.h"

#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HISTORY_LINES = 500 };

struct dsm_line_reader {
    EditLine *edit; /* NULL: no terminal */
    History *history;
    char *history_file;
    const char *prompt;
    bool interrupted;
    char *line; /* getline's */
    size_t cap;
};

static char *show_prompt(EditLine *edit)
{
    dsm_line_reader *r;
    el_get(edit, EL_CLIENTDATA, &r);
    return (char *)r->prompt;
}

static unsigned char interrupt(EditLine *edit, int key)
{
    dsm_line_reader *r;
    (void)key;
    el_get(edit, EL_CLIENTDATA, &r);
    r->interrupted = true;
    return CC_EOF;
}

static dsm_status open_terminal(dsm_line_reader *r, dsm_err *err)
{
    HistEvent event;
    setlocale(LC_CTYPE, ""); /* what a character is, nothing else */
    r->edit = el_init("dsmoe", stdin, stdout, stderr);
    r->history = history_init();
    if (!r->edit || !r->history) return dsm_fail(err, DSM_ENOMEM, "line editor: out of memory");
    history(r->history, &event, H_SETSIZE, HISTORY_LINES);
    history(r->history, &event, H_SETUNIQUE, 1);
    if (r->history_file) history(r->history, &event, H_LOAD, r->history_file);
    el_set(r->edit, EL_CLIENTDATA, r);
    el_set(r->edit, EL_PROMPT, show_prompt);
    el_set(r->edit, EL_EDITOR, "emacs");
    el_set(r->edit, EL_HIST, history, r->history);
    el_set(r->edit, EL_ADDFN, "dsmoe-interrupt", "give the line up", interrupt);
    el_set(r->edit, EL_BIND, "^C", "dsmoe-interrupt", NULL);
    el_set(r->edit, EL_SETTY, "-d", "-isig", NULL);
    el_source(r->edit, NULL); /* the user's own ~/.editrc */
    return DSM_OK;
}

dsm_status dsm_line_open(dsm_line_reader **out, const char *history_file, dsm_err *err)
{
    *out = NULL;
    dsm_line_reader *r = calloc(1, sizeof *r);
    if (!r) return dsm_fail(err, DSM_ENOMEM, "line editor: out of memory");
    if (history_file) r->history_file = strdup(history_file);
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    dsm_status status = terminal ? open_terminal(r, err) : DSM_OK;
    if (status == DSM_OK)
        *out = r;
    else
        dsm_line_close(r);
    return status;
}

void dsm_line_close(dsm_line_reader *r)
{
    if (!r) return;
    HistEvent event;
    if (r->history && r->history_file) history(r->history, &event, H_SAVE, r->history_file);
    if (r->edit) el_end(r->edit);
    if (r->history) history_end(r->history);
    free(r->history_file);
    free(r->line);
    free(r);
}

bool dsm_line_is_terminal(const dsm_line_reader *r)
{
    return r->edit != NULL;
}

/* One line with its end, borrowed until the next; NULL at the end of input. */
static const char *edited_line(dsm_line_reader *r, size_t *n)
{
    int count;
    HistEvent event;
    r->interrupted = false;
    const char *line = el_gets(r->edit, &count);
    if (r->interrupted) fputs("^C\n", stdout);
    if (!line || count <= 0 || r->interrupted) return NULL;
    if (strspn(line, " \t\n") < strlen(line)) history(r->history, &event, H_ENTER, line);
    *n = (size_t)count;
    return line;
}

static const char *plain_line(dsm_line_reader *r, size_t *n)
{
    ssize_t count = getline(&r->line, &r->cap, stdin);
    *n = count > 0 ? (size_t)count : 0;
    return count > 0 ? r->line : NULL;
}

/* The next line, without its end. */
static dsm_line_result next_line(dsm_line_reader *r, const char *prompt, const char **line,
                                 size_t *n)
{
    r->prompt = prompt;
    *line = r->edit ? edited_line(r, n) : plain_line(r, n);
    if (!*line) return r->interrupted ? DSM_LINE_INTERRUPTED : DSM_LINE_END;
    if (*n > 0 && (*line)[*n - 1] == '\n') --*n;
    if (*n > 0 && (*line)[*n - 1] == '\r') --*n;
    return DSM_LINE_TEXT;
}

/* Where """ stands in a line, n if nowhere. */
static size_t find_fence(const char *line, size_t n)
{
    for (size_t i = 0; i + 3 <= n; i++)
        if (memcmp(line + i, "\"\"\"", 3) == 0) return i;
    return n;
}

/* Lines up to one that holds """, which is not part of the text. */
static dsm_line_result read_block(dsm_line_reader *r, const char *line, size_t n, dsm_buf *text)
{
    for (;;) {
        size_t fence = find_fence(line, n);
        if (fence < n && fence == 0 && text->len > 0) text->len--; /* the line end before it */
        dsm_buf_add(text, line, fence);
        if (fence < n) return DSM_LINE_TEXT;
        if (text->len > 0) dsm_buf_str(text, "\n");
        dsm_line_result result = next_line(r, "... ", &line, &n);
        if (result == DSM_LINE_END && text->len > 0) return DSM_LINE_TEXT;
        if (result != DSM_LINE_TEXT) return result;
    }
}

dsm_line_result dsm_line_read(dsm_line_reader *r, const char *prompt, dsm_buf *text)
{
    const char *line;
    size_t n;
    dsm_buf_clear(text);
    dsm_line_result result = next_line(r, prompt, &line, &n);
    if (result == DSM_LINE_TEXT && find_fence(line, n) == 0)
        return read_block(r, line + 3, n - 3, text);
    for (; result == DSM_LINE_TEXT; result = next_line(r, "... ", &line, &n)) {
        bool more = n > 0 && line[n - 1] == '\\';
        dsm_buf_add(text, line, more ? n - 1 : n);
        if (!more) return DSM_LINE_TEXT;
        dsm_buf_str(text, "\n");
    }
    return result == DSM_LINE_END && text->len > 0 ? DSM_LINE_TEXT : result;
}
