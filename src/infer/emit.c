/* SPDX-License-Identifier: MIT */
#include "infer/emit.h"

#include <string.h>

/* Show the first n held bytes, repaired where they are not UTF-8. */
static void show(dsm_emitter *e, size_t n)
{
    if (n == 0 || e->cancelled) return;
    size_t before = e->text.len;
    dsm_utf8_repair(&e->text, e->held.data, n);
    memmove(e->held.data, e->held.data + n, e->held.len - n);
    e->held.len -= n;
    if (e->text.failed || !e->emit) return;
    e->cancelled = !e->emit(e->arg, e->text.data + before, e->text.len - before);
}

/* Where s begins in the held bytes, or their number. */
static size_t find(const dsm_buf *held, const char *s, size_t n)
{
    for (size_t i = 0; n > 0 && i + n <= held->len; i++)
        if (memcmp(held->data + i, s, n) == 0) return i;
    return held->len;
}

/* How many bytes at the end of held are a beginning of s. */
static size_t overlap(const dsm_buf *held, const char *s, size_t n)
{
    size_t most = n > 0 && n - 1 < held->len ? n - 1 : held->len;
    for (size_t k = n > 0 ? most : 0; k > 0; k--)
        if (memcmp(held->data + held->len - k, s, k) == 0) return k;
    return 0;
}

void dsm_emitter_add(dsm_emitter *e, const char *bytes, size_t n)
{
    if (e->stop || e->cancelled) return;
    dsm_buf_add(&e->held, bytes, n);
    if (e->held.failed) return;
    size_t first = e->held.len, wait = 0;
    for (int i = 0; i < e->n_stops; i++) {
        size_t len = strlen(e->stops[i]), at = find(&e->held, e->stops[i], len);
        if (at < first) {
            first = at;
            e->stop = e->stops[i];
        }
        size_t k = overlap(&e->held, e->stops[i], len);
        if (k > wait) wait = k;
    }
    size_t ready = e->stop ? first : e->held.len - wait;
    if (!e->stop && ready > 0) ready -= dsm_utf8_incomplete_tail(e->held.data, ready);
    show(e, ready);
}

void dsm_emitter_end(dsm_emitter *e)
{
    if (!e->stop) show(e, e->held.len);
}

void dsm_emitter_free(dsm_emitter *e)
{
    dsm_buf_free(&e->held);
    dsm_buf_free(&e->text);
}
