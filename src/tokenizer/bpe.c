/* SPDX-License-Identifier: MIT */
#include "tokenizer/bpe.h"

#include "tokenizer/hash.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_WORD = 96 }; /* symbols; up to here scanning beats the heap */
#define NO_RANK UINT32_MAX

/* --- the pair table --------------------------------------------------------------------------- */

static uint64_t slot_of(const dsm_bpe *b, uint64_t pair)
{
    uint64_t i = dsm_hash_u64(pair) & b->mask;
    while (b->slots[i].pair != pair && b->slots[i].pair != DSM_NO_PAIR)
        i = (i + 1) & b->mask;
    return i;
}

/* The merge of a pair; its rank is NO_RANK when the pair does not merge. */
static inline dsm_merge find(const dsm_bpe *b, int32_t left, int32_t right)
{
    return b->slots[slot_of(b, dsm_pair(left, right))];
}

dsm_status dsm_bpe_init(dsm_bpe *b, dsm_merge *merges, size_t n_merges, dsm_err *err)
{
    uint64_t cap = 1024;
    while (cap < 3 * (uint64_t)n_merges)
        cap *= 2;
    *b = (dsm_bpe){.merges = merges, .n_merges = n_merges, .mask = cap - 1};
    b->slots = malloc(cap * sizeof *b->slots);
    if (!b->slots) {
        dsm_bpe_free(b);
        return dsm_fail(err, DSM_ENOMEM, "merge table: out of memory for %zu merges", n_merges);
    }
    for (uint64_t i = 0; i < cap; i++)
        b->slots[i] = (dsm_merge){.pair = DSM_NO_PAIR, .rank = NO_RANK, .id = -1};
    for (size_t i = 0; i < n_merges; i++)
        b->slots[slot_of(b, merges[i].pair)] = merges[i];
    return DSM_OK;
}

void dsm_bpe_free(dsm_bpe *b)
{
    free(b->merges);
    free(b->slots);
    memset(b, 0, sizeof *b);
}

/* --- short words: repeated scans ---------------------------------------------------------------- */

/* rank[i] and to[i] describe the pair (i, i+1). */
typedef struct pairs {
    uint32_t rank[SHORT_WORD];
    int32_t to[SHORT_WORD];
} pairs;

static inline void look_up(const dsm_bpe *b, const int32_t *ids, size_t i, pairs *p)
{
    dsm_merge m = find(b, ids[i], ids[i + 1]);
    p->rank[i] = m.rank;
    p->to[i] = m.id;
}

static inline size_t least(const uint32_t *rank, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (rank[i] < rank[best]) best = i;
    return best;
}

static void apply_short(const dsm_bpe *b, int32_t *ids, size_t *n_ids)
{
    pairs p;
    size_t n = *n_ids;
    for (size_t i = 0; i + 1 < n; i++)
        look_up(b, ids, i, &p);
    while (n > 1) {
        size_t i = least(p.rank, n - 1);
        if (p.rank[i] == NO_RANK) break;
        ids[i] = p.to[i];
        memmove(ids + i + 1, ids + i + 2, (n - i - 2) * sizeof *ids);
        if (i + 2 < n) {
            memmove(p.rank + i, p.rank + i + 1, (n - i - 2) * sizeof *p.rank);
            memmove(p.to + i, p.to + i + 1, (n - i - 2) * sizeof *p.to);
        }
        n--;
        if (i + 1 < n) look_up(b, ids, i, &p);
        if (i > 0) look_up(b, ids, i - 1, &p);
    }
    *n_ids = n;
}

/* --- long words: a heap over a linked list ------------------------------------------------------ */

/* A symbol and its neighbours; id < 0 once it was swallowed. Index n (one past the word) ends both
 * directions. */
typedef struct dsm_bpe_node {
    int32_t id;
    uint32_t prev, next;
} node;

/* A pair that can merge: where its left symbol stands. It is stale when that pair is gone. */
typedef struct dsm_bpe_entry {
    uint64_t order; /* rank << 32 | position: least first */
    uint64_t pair;
    int32_t id;
} entry;

static void push(entry *heap, size_t *n, entry e)
{
    size_t i = (*n)++;
    for (; i > 0 && e.order < heap[(i - 1) / 2].order; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = e;
}

static entry pop(entry *heap, size_t *n)
{
    entry top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < *n; i = child) {
        if (child + 1 < *n && heap[child + 1].order < heap[child].order) child++;
        if (last.order <= heap[child].order) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

static void push_pair(const dsm_bpe *b, const node *nodes, uint32_t at, entry *heap, size_t *n_heap)
{
    uint64_t pair = dsm_pair(nodes[at].id, nodes[nodes[at].next].id);
    dsm_merge m = b->slots[slot_of(b, pair)];
    if (m.rank != NO_RANK)
        push(heap, n_heap, (entry){(uint64_t)m.rank << 32 | at, pair, m.id});
}

/* Room for n symbols: each merge pushes at most two entries, and there are fewer than n of them. */
static dsm_status reserve(dsm_bpe_work *w, size_t n, dsm_err *err)
{
    if (n >= UINT32_MAX / 4)
        return dsm_fail(err, DSM_ELIMIT, "a word of %zu symbols is too long to merge", n);
    if (w->cap > n) return DSM_OK;
    size_t cap = 2 * n;
    node *nodes = realloc(w->nodes, cap * sizeof *nodes);
    if (nodes) w->nodes = nodes;
    entry *heap = realloc(w->heap, 3 * cap * sizeof *heap);
    if (heap) w->heap = heap;
    if (!nodes || !heap) return dsm_fail(err, DSM_ENOMEM, "merging a word of %zu symbols", n);
    w->cap = cap;
    return DSM_OK;
}

static void merge_at(const dsm_bpe *b, node *nodes, uint32_t end, const entry *e, entry *heap,
                     size_t *n_heap)
{
    uint32_t left = (uint32_t)e->order, right = nodes[left].next;
    nodes[left].id = e->id;
    nodes[left].next = nodes[right].next;
    nodes[nodes[right].next].prev = left;
    nodes[right].id = -1;
    if (nodes[left].next != end) push_pair(b, nodes, left, heap, n_heap);
    if (left != 0) push_pair(b, nodes, nodes[left].prev, heap, n_heap);
}

static dsm_status apply_long(const dsm_bpe *b, dsm_bpe_work *w, int32_t *ids, size_t *n, dsm_err *err)
{
    DSM_TRY(reserve(w, *n, err));
    node *nodes = w->nodes;
    uint32_t end = (uint32_t)*n;
    size_t n_heap = 0;
    for (uint32_t i = 0; i < end; i++)
        nodes[i] = (node){ids[i], i - 1, i + 1};
    nodes[end] = (node){-1, end - 1, end};
    for (uint32_t i = 0; i + 1 < end; i++)
        push_pair(b, nodes, i, w->heap, &n_heap);
    while (n_heap > 0) {
        entry e = pop(w->heap, &n_heap);
        const node *left = &nodes[(uint32_t)e.order];
        bool stale = left->id < 0 || dsm_pair(left->id, nodes[left->next].id) != e.pair;
        if (!stale) merge_at(b, nodes, end, &e, w->heap, &n_heap);
    }
    size_t kept = 0;
    for (uint32_t i = 0; i < end; i = nodes[i].next)
        ids[kept++] = nodes[i].id;
    *n = kept;
    return DSM_OK;
}

dsm_status dsm_bpe_apply(const dsm_bpe *b, dsm_bpe_work *w, int32_t *ids, size_t *n, dsm_err *err)
{
    if (*n > SHORT_WORD) return apply_long(b, w, ids, n, err);
    apply_short(b, ids, n);
    return DSM_OK;
}

void dsm_bpe_work_free(dsm_bpe_work *w)
{
    free(w->nodes);
    free(w->heap);
    memset(w, 0, sizeof *w);
}
