/* SPDX-License-Identifier: MIT */
/* Byte-pair learning as PyPI tokenizers' BpeTrainer does it, so that vocabulary and merges are
 * equal:
 *
 *   a queue holds (pair, count, words it occurs in), greatest count first, then the smaller pair;
 *   a popped entry whose count is out of date goes back with the present one;
 *   else the pair is merged in the words of that entry, the counts of neighbouring pairs move, and
 *   each pair that grew enters the queue anew with the words where it grew;
 *   the count of the merged pair itself is left as it was.
 *
 * A pair can be in the queue twice when two merges make the same token by different ways; then it
 * may be merged, and listed, twice. That is the reference's behaviour too, and its readers' (the
 * later rank counts).
 *
 * Words are runs of one array of symbols. Lists of words are parts of one growing array that is
 * never given back: merges remove symbols, so all lists together hold at most two entries per byte.
 */
#include "tokenizer/learner.h"

#include "core/buf.h"
#include "tokenizer/hash.h"

#include <stdlib.h>
#include <string.h>

typedef struct word {
    size_t first; /* of its symbols */
    uint32_t n;
    int64_t count;
} word;

typedef struct pair_info {
    uint64_t pair;
    int64_t count;
    uint32_t last_word; /* + 1: the word that was listed last, to list it once */
    uint32_t n_listed;  /* entries of the current round */
    size_t list;        /* where they stand */
} pair_info;

typedef struct queued {
    int64_t count;
    uint64_t pair;
    uint32_t info; /* index of the pair */
    uint32_t n;    /* words in its list */
    size_t list;
} queued;

/* "Pair `info` occurs in `word` since this round." */
typedef struct sighting {
    uint32_t info, word;
} sighting;

/* A growing array: items of one type behind a header of its own. */
#define VECTOR(type)                                                                               \
    struct {                                                                                       \
        type *at;                                                                                  \
        size_t n, cap;                                                                             \
    }

typedef struct learner {
    int32_t *symbols;
    word *words;
    size_t n_words;
    VECTOR(pair_info) pairs;
    uint32_t *table; /* index of a pair + 1 */
    size_t mask;
    VECTOR(queued) queue; /* heap */
    VECTOR(sighting) seen;
    VECTOR(uint32_t) touched; /* pairs with sightings in this round */
    VECTOR(uint32_t) lists;   /* word indices */
    VECTOR(dsm_merge) merges;
    void *moved; /* of RESERVE */
    dsm_err *err;
} learner;

static dsm_status out_of_memory(const learner *l)
{
    return dsm_fail(l->err, DSM_ENOMEM, "training: out of memory");
}

/* The array at `at` with room for `more` items behind the first n, cap updated; NULL: out of
 * memory. */
static void *grown(void *at, size_t n, size_t *cap, size_t more, size_t item)
{
    size_t want = n + n / 2 + more + 1024;
    void *p = realloc(at, want * item);
    if (p) *cap = want;
    return p;
}

/* Make room for `more` items in a vector of learner l; false: out of memory. */
#define RESERVE(l, v, more)                                                                        \
    ((v).cap - (v).n >= (more) ||                                                                  \
     (((l)->moved = grown((v).at, (v).n, &(v).cap, more, sizeof *(v).at)) != NULL &&               \
      ((v).at = (l)->moved, true)))

/* --- pairs ------------------------------------------------------------------------------- */

static bool grow_pairs(learner *l)
{
    if (!RESERVE(l, l->pairs, 1)) return false;
    if (l->table && 2 * l->pairs.n < l->mask) return true;
    size_t cap = l->table ? 2 * (l->mask + 1) : 1 << 16;
    uint32_t *table = calloc(cap, sizeof *table);
    if (!table || l->pairs.n >= UINT32_MAX / 2) {
        free(table);
        return false;
    }
    free(l->table);
    l->table = table;
    l->mask = cap - 1;
    for (size_t i = 0; i < l->pairs.n; i++) {
        size_t slot = dsm_hash_u64(l->pairs.at[i].pair) & l->mask;
        while (table[slot])
            slot = (slot + 1) & l->mask;
        table[slot] = (uint32_t)i + 1;
    }
    return true;
}

/* The record of a pair, made if there is none; NULL when out of memory. */
static pair_info *info_of(learner *l, uint64_t pair)
{
    if (!grow_pairs(l)) return NULL;
    size_t slot = dsm_hash_u64(pair) & l->mask;
    for (; l->table[slot]; slot = (slot + 1) & l->mask)
        if (l->pairs.at[l->table[slot] - 1].pair == pair) return &l->pairs.at[l->table[slot] - 1];
    pair_info *p = &l->pairs.at[l->pairs.n++];
    *p = (pair_info){.pair = pair};
    l->table[slot] = (uint32_t)l->pairs.n;
    return p;
}

/* Note that a pair occurs in a word; true the first time in this round. touched has room for it. */
static bool first_in_word(learner *l, pair_info *p, uint32_t w)
{
    if (p->last_word == w + 1) return false;
    p->last_word = w + 1;
    if (p->n_listed++ == 0) l->touched.at[l->touched.n++] = (uint32_t)(p - l->pairs.at);
    return true;
}

/* One occurrence more (sign 1) or less (-1) of a pair in a word. */
static bool change(learner *l, int32_t left, int32_t right, uint32_t w, int sign)
{
    pair_info *p = info_of(l, dsm_pair(left, right));
    if (!p || !RESERVE(l, l->seen, 1) || !RESERVE(l, l->touched, 1)) return false;
    p->count += sign * l->words[w].count;
    if (sign > 0 && first_in_word(l, p, w))
        l->seen.at[l->seen.n++] = (sighting){(uint32_t)(p - l->pairs.at), w};
    return true;
}

/* --- the queue --------------------------------------------------------------------------- */

static bool comes_before(const queued *a, const queued *b)
{
    return a->count != b->count ? a->count > b->count : a->pair < b->pair;
}

static bool push(learner *l, queued q)
{
    if (!RESERVE(l, l->queue, 1)) return false;
    queued *heap = l->queue.at;
    size_t i = l->queue.n++;
    for (; i > 0 && comes_before(&q, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = q;
    return true;
}

/* Put q where the greatest entry stands, and let it sink to its place. */
static void replace_top(learner *l, queued q)
{
    queued *heap = l->queue.at;
    size_t i = 0, n = l->queue.n;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && comes_before(&heap[child + 1], &heap[child])) child++;
        if (!comes_before(&heap[child], &q)) break;
        heap[i] = heap[child];
    }
    heap[i] = q;
}

static void drop_top(learner *l)
{
    queued last = l->queue.at[--l->queue.n];
    if (l->queue.n) replace_top(l, last);
}

/* Give each touched pair its place in `lists`; then they are filled with list_word. */
static bool place_lists(learner *l)
{
    size_t total = 0;
    for (size_t i = 0; i < l->touched.n; i++)
        total += l->pairs.at[l->touched.at[i]].n_listed;
    if (!RESERVE(l, l->lists, total)) return false;
    for (size_t i = 0; i < l->touched.n; i++) {
        pair_info *p = &l->pairs.at[l->touched.at[i]];
        p->list = l->lists.n;
        l->lists.n += p->n_listed;
        p->n_listed = p->last_word = 0;
    }
    return true;
}

static void list_word(learner *l, pair_info *p, uint32_t w)
{
    l->lists.at[p->list + p->n_listed++] = w;
}

/* Queue the touched pairs with their lists; the round is over. */
static bool queue_lists(learner *l)
{
    for (size_t i = 0; i < l->touched.n; i++) {
        pair_info *p = &l->pairs.at[l->touched.at[i]];
        queued q = {p->count, p->pair, l->touched.at[i], p->n_listed, p->list};
        p->n_listed = p->last_word = 0;
        if (q.count > 0 && !push(l, q)) return false;
    }
    l->touched.n = 0;
    return true;
}

/* Turn the round's sightings into lists and queue entries. */
static bool end_round(learner *l)
{
    if (!place_lists(l)) return false;
    for (size_t i = 0; i < l->seen.n; i++)
        list_word(l, &l->pairs.at[l->seen.at[i].info], l->seen.at[i].word);
    l->seen.n = 0;
    return queue_lists(l);
}

/* --- words ------------------------------------------------------------------------------- */

static dsm_status load_words(learner *l, const int32_t byte_id[256], const dsm_word_counts *c)
{
    size_t total = 0;
    for (size_t i = 0; i < c->n; i++)
        total += c->words[i].length;
    if (c->n >= UINT32_MAX)
        return dsm_fail(l->err, DSM_ELIMIT, "training: too many distinct words");
    l->symbols = malloc((total + 1) * sizeof *l->symbols);
    l->words = malloc((c->n + 1) * sizeof *l->words);
    if (!l->symbols || !l->words) return out_of_memory(l);
    size_t at = 0;
    for (size_t i = 0; i < c->n; i++) {
        const dsm_word *from = &c->words[i];
        l->words[i] = (word){at, from->length, from->count};
        for (uint32_t k = 0; k < from->length; k++)
            l->symbols[at++] = byte_id[(unsigned char)c->pool[from->offset + k]];
    }
    l->n_words = c->n;
    return DSM_OK;
}

/* One pass over all pairs of all words: count them, or list the words of each. */
static bool visit_pairs(learner *l, bool listing)
{
    for (uint32_t w = 0; w < l->n_words; w++) {
        const int32_t *s = l->symbols + l->words[w].first;
        for (uint32_t k = 0; k + 1 < l->words[w].n; k++) {
            pair_info *p = info_of(l, dsm_pair(s[k], s[k + 1]));
            if (!p || !RESERVE(l, l->touched, 1)) return false;
            if (!listing) {
                p->count += l->words[w].count;
                first_in_word(l, p, w);
            } else if (p->last_word != w + 1) {
                p->last_word = w + 1;
                list_word(l, p, w);
            }
        }
    }
    return true;
}

/* The first round. It is the largest by far, so it goes without the array of sightings. */
static dsm_status count_pairs(learner *l)
{
    bool ok = visit_pairs(l, false) && place_lists(l) && visit_pairs(l, true) && queue_lists(l);
    return ok ? DSM_OK : out_of_memory(l);
}

/* Merge a pair in one word, from left to right, and tell the neighbours. */
static bool merge_in_word(learner *l, uint32_t w, int32_t left, int32_t right, int32_t made)
{
    int32_t *s = l->symbols + l->words[w].first;
    uint32_t n = l->words[w].n, out = 0;
    bool ok = true;
    for (uint32_t i = 0; i < n; i++, out++) {
        if (s[i] != left || i + 1 == n || s[i + 1] != right) {
            s[out] = s[i];
            continue;
        }
        if (out > 0)
            ok = ok && change(l, s[out - 1], left, w, -1) && change(l, s[out - 1], made, w, 1);
        if (i + 2 < n)
            ok = ok && change(l, right, s[i + 2], w, -1) && change(l, made, s[i + 2], w, 1);
        s[out] = made;
        i++;
    }
    l->words[w].n = out;
    return ok;
}

/* --- the loop ---------------------------------------------------------------------------- */

/* The id of the token that left and right make, added to the vocabulary if it is new. */
static dsm_status made_token(dsm_vocab *vocab, uint64_t pair, dsm_buf *text, int32_t *id,
                             dsm_err *err)
{
    const int32_t half[2] = {(int32_t)(pair >> 32), (int32_t)(uint32_t)pair};
    dsm_buf_clear(text);
    for (int k = 0; k < 2; k++) {
        size_t n;
        const char *part = dsm_vocab_text(vocab, half[k], &n);
        dsm_buf_add(text, part, n);
    }
    DSM_TRY(dsm_buf_check(text, "training", err));
    *id = dsm_vocab_find(vocab, text->data, text->len);
    if (*id >= 0) return DSM_OK;
    *id = vocab->size;
    return dsm_vocab_add(vocab, *id, text->data, text->len, "training", err);
}

static dsm_status apply(learner *l, const queued *q, int32_t made)
{
    if (!RESERVE(l, l->merges, 1)) return out_of_memory(l);
    l->merges.at[l->merges.n++] = (dsm_merge){q->pair, made};
    int32_t left = (int32_t)(q->pair >> 32), right = (int32_t)(uint32_t)q->pair;
    for (uint32_t i = 0; i < q->n; i++)
        if (!merge_in_word(l, l->lists.at[q->list + i], left, right, made)) return out_of_memory(l);
    return end_round(l) ? DSM_OK : out_of_memory(l);
}

static dsm_status learn(learner *l, dsm_vocab *vocab, const dsm_tokenizer_train_options *o,
                        dsm_buf *text)
{
    while (vocab->size < o->vocab_size && l->queue.n > 0) {
        queued q = l->queue.at[0];
        int64_t now = l->pairs.at[q.info].count;
        if (q.count != now) {
            q.count = now;
            replace_top(l, q);
            continue;
        }
        if (q.count < 1 || q.count < o->min_frequency) break;
        drop_top(l);
        int32_t made;
        DSM_TRY(made_token(vocab, q.pair, text, &made, l->err));
        DSM_TRY(apply(l, &q, made));
        if (o->progress && l->merges.n % 256 == 0)
            o->progress(o->progress_arg, "merge", (double)vocab->size, (double)o->vocab_size);
    }
    return DSM_OK;
}

dsm_status dsm_learn_merges(dsm_vocab *vocab, const int32_t byte_id[256],
                            const dsm_word_counts *words, const dsm_tokenizer_train_options *o,
                            dsm_merge **merges, size_t *n_merges, dsm_err *err)
{
    learner l = {.err = err};
    dsm_buf text = {0};
    *merges = NULL;
    *n_merges = 0;
    dsm_status status = load_words(&l, byte_id, words);
    if (status == DSM_OK) status = count_pairs(&l);
    if (status == DSM_OK && !RESERVE(&l, l.merges, 1)) status = out_of_memory(&l);
    if (status == DSM_OK) status = learn(&l, vocab, o, &text);
    dsm_buf_free(&text);
    free(l.symbols);
    free(l.words);
    free(l.pairs.at);
    free(l.table);
    free(l.queue.at);
    free(l.seen.at);
    free(l.touched.at);
    free(l.lists.at);
    if (status != DSM_OK) {
        free(l.merges.at);
        return status;
    }
    *merges = l.merges.at;
    *n_merges = l.merges.n;
    return DSM_OK;
}
