/* SPDX-License-Identifier: MIT */
#include "tokenizer/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_WORD = 96 }; /* symbols; up to here scanning beats the heap */
#define NO_RANK UINT32_MAX

/* --- the pair table --------------------------------------------------------------------------- */

#define EMPTY UINT64_MAX

static inline uint64_t key_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << DSM_ID_BITS | (uint32_t)right;
}

static inline uint64_t hash_of(uint64_t key)
{
    return (key ^ key >> 15) * 0x9E3779B97F4A7C15u;
}

/* The slot of a key, or the empty one where it belongs. */
static inline size_t slot_of(const dsm_bpe *b, uint64_t key, uint64_t hash)
{
    size_t mask = (SIZE_MAX >> b->slot_shift), i = hash >> b->slot_shift;
    while (b->slots[i] >> DSM_RANK_BITS != key && b->slots[i] != EMPTY)
        i = (i + 1) & mask;
    return i;
}

/* The rank of a pair; NO_RANK when it does not merge. */
static inline uint32_t rank_of(const dsm_bpe *b, int32_t left, int32_t right)
{
    uint64_t key = key_of(left, right), hash = hash_of(key), bit = hash >> b->filter_shift;
    if (!(b->filter[bit >> 6] >> (bit & 63) & 1)) return NO_RANK;
    uint64_t slot = b->slots[slot_of(b, key, hash)];
    return slot == EMPTY ? NO_RANK : (uint32_t)slot & ((1u << DSM_RANK_BITS) - 1);
}

static void insert(dsm_bpe *b, const dsm_merge *m, uint32_t rank)
{
    uint64_t key = key_of((int32_t)(m->pair >> 32), (int32_t)(uint32_t)m->pair);
    uint64_t hash = hash_of(key), bit = hash >> b->filter_shift;
    b->slots[slot_of(b, key, hash)] = key << DSM_RANK_BITS | rank;
    b->filter[bit >> 6] |= (uint64_t)1 << (bit & 63);
    b->made[rank] = m->id;
}

static void insert_all(dsm_bpe *b, bool tied)
{
    uint32_t rank = 0;
    for (size_t i = 0; i < b->n_merges; i++) {
        if (!tied || b->merges[i].id != b->merges[rank].id) rank = (uint32_t)i;
        insert(b, &b->merges[i], rank);
    }
}

dsm_status dsm_bpe_init(dsm_bpe *b, dsm_merge *merges, size_t n_merges, bool tied, dsm_err *err)
{
    *b = (dsm_bpe){.merges = merges, .n_merges = n_merges};
    if (n_merges >> DSM_RANK_BITS) {
        dsm_bpe_free(b);
        return dsm_fail(err, DSM_ELIMIT, "merges: found %zu, expected fewer than %d", n_merges,
                        1 << DSM_RANK_BITS);
    }
    int bits = 10; /* of slots: at most half of them full */
    while ((size_t)1 << bits < 2 * n_merges)
        bits++;
    b->slot_shift = 64 - bits;
    b->filter_shift = 64 - bits - 2;
    b->slots = malloc(sizeof *b->slots << bits);
    b->filter = calloc((size_t)1 << (bits + 2 - 6), sizeof *b->filter);
    b->made = malloc((n_merges + 1) * sizeof *b->made);
    if (!b->slots || !b->filter || !b->made) {
        dsm_bpe_free(b);
        return dsm_fail(err, DSM_ENOMEM, "merge table: out of memory for %zu merges", n_merges);
    }
    memset(b->slots, 0xFF, sizeof *b->slots << bits);
    insert_all(b, tied);
    return DSM_OK;
}

void dsm_bpe_free(dsm_bpe *b)
{
    free(b->merges);
    free(b->made);
    free(b->slots);
    free(b->filter);
    memset(b, 0, sizeof *b);
}

/* --- short words: repeated scans -------------------------------------------------------------- */

static inline size_t least(const uint32_t *rank, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (rank[i] < rank[best]) best = i;
    return best;
}

static void apply_short(const dsm_bpe *b, int32_t *ids, size_t *n_ids)
{
    uint32_t rank[SHORT_WORD]; /* of the pair (i, i + 1) */
    size_t n = *n_ids;
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = rank_of(b, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t i = least(rank, n - 1);
        if (rank[i] == NO_RANK) break;
        ids[i] = b->made[rank[i]];
        n--;
        memmove(ids + i + 1, ids + i + 2, (n - i - 1) * sizeof *ids);
        memmove(rank + i, rank + i + 1, (n - i - 1) * sizeof *rank);
        if (i + 1 < n) rank[i] = rank_of(b, ids[i], ids[i + 1]);
        if (i > 0) rank[i - 1] = rank_of(b, ids[i - 1], ids[i]);
    }
    *n_ids = n;
}

/* --- long words: a heap over a linked list ---------------------------------------------------- */

/* A symbol and its neighbours; id < 0 once it was swallowed. Index n (one past the word) ends both
 * directions. */
typedef struct dsm_bpe_node {
    int32_t id;
    uint32_t prev, next;
} node;

/* A pair that can merge. It is stale when another pair stands there by now. */
typedef struct dsm_bpe_entry {
    uint64_t order; /* rank << 32 | position of its left symbol: least first */
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
    uint32_t rank = rank_of(b, nodes[at].id, nodes[nodes[at].next].id);
    if (rank != NO_RANK) push(heap, n_heap, (entry){(uint64_t)rank << 32 | at});
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

static void merge_at(const dsm_bpe *b, node *nodes, uint32_t end, uint32_t left, int32_t made,
                     entry *heap, size_t *n_heap)
{
    uint32_t right = nodes[left].next;
    nodes[left].id = made;
    nodes[left].next = nodes[right].next;
    nodes[nodes[right].next].prev = left;
    nodes[right].id = -1;
    if (nodes[left].next != end) push_pair(b, nodes, left, heap, n_heap);
    if (left != 0) push_pair(b, nodes, nodes[left].prev, heap, n_heap);
}

static dsm_status apply_long(const dsm_bpe *b, dsm_bpe_work *w, int32_t *ids, size_t *n,
                             dsm_err *err)
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
        uint32_t rank = (uint32_t)(e.order >> 32);
        const node *left = &nodes[(uint32_t)e.order];
        bool stale =
            left->id < 0 || left->next == end || rank_of(b, left->id, nodes[left->next].id) != rank;
        if (!stale) merge_at(b, nodes, end, (uint32_t)e.order, b->made[rank], w->heap, &n_heap);
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
