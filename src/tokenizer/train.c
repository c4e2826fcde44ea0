/* SPDX-License-Identifier: MIT */
/* Training a tokenizer: vocabulary = special tokens, byte alphabet, merges; then the file's parts.
 */
#include "tokenizer/alphabet.h"
#include "tokenizer/learner.h"
#include "tokenizer/tok.h"
#include "tokenizer/unicode.h"
#include "tokenizer/word_counts.h"

#include <stdlib.h>
#include <string.h>

static const char *const default_specials[] = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
                                               "<｜▁pad▁｜>"};
enum { N_BYTES = 256 };

void dsm_tokenizer_train_defaults(dsm_tokenizer_train_options *o)
{
    *o = (dsm_tokenizer_train_options){
        .vocab_size = 32000,
        .pretokenizer = "deepseek-v3",
        .specials = default_specials,
        .n_specials = sizeof default_specials / sizeof *default_specials,
        .bos = default_specials[0],
        .eos = default_specials[1],
        .pad = default_specials[2],
    };
}

/* --- the vocabulary before any merge ----------------------------------------------------- */

static dsm_status add_if_new(dsm_vocab *v, const char *text, size_t n, dsm_err *err)
{
    if (dsm_vocab_find(v, text, n) >= 0) return DSM_OK;
    return dsm_vocab_add(v, v->size, text, n, "training", err);
}

/* Specials in their order, then the alphabet in the order of its code points. */
static dsm_status begin_vocab(dsm_vocab *v, const dsm_tokenizer_train_options *o,
                              int32_t byte_id[N_BYTES], dsm_err *err)
{
    for (size_t i = 0; i < o->n_specials; i++) {
        if (!*o->specials[i])
            return dsm_fail(err, DSM_EUSAGE, "special token %zu: found an empty text", i);
        DSM_TRY(add_if_new(v, o->specials[i], strlen(o->specials[i]), err));
    }
    for (uint32_t c = 0, found = 0; found < N_BYTES; c++) {
        int byte = dsm_alphabet_byte(c);
        if (byte < 0) continue;
        char text[4];
        size_t n = (size_t)dsm_utf8_encode(c, text);
        DSM_TRY(add_if_new(v, text, n, err));
        byte_id[byte] = dsm_vocab_find(v, text, n);
        found++;
    }
    return DSM_OK;
}

static dsm_status check_options(const dsm_tokenizer_train_options *o, dsm_err *err)
{
    const char *const named[] = {o->bos, o->eos, o->pad};
    if (o->vocab_size < N_BYTES + (int64_t)o->n_specials || o->vocab_size > DSM_MAX_TOKEN_ID)
        return dsm_fail(
            err, DSM_EUSAGE,
            "vocabulary size: found %d, expected %zu (256 bytes and %zu special tokens) to %d",
            o->vocab_size, N_BYTES + o->n_specials, o->n_specials, DSM_MAX_TOKEN_ID);
    if (o->min_frequency < 0)
        return dsm_fail(err, DSM_EUSAGE, "minimum frequency: found %lld, expected 0 or more",
                        (long long)o->min_frequency);
    for (int k = 0; k < 3; k++) {
        bool known = !named[k];
        for (size_t i = 0; i < o->n_specials; i++)
            known = known || strcmp(named[k], o->specials[i]) == 0;
        if (!known)
            return dsm_fail(err, DSM_EUSAGE, "\"%.60s\" is not one of the special tokens",
                            named[k]);
    }
    return DSM_OK;
}

/* --- the file's other parts -------------------------------------------------------------- */

static json_t *byte_level(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                     "trim_offsets", 1, "use_regex", 1);
}

static json_t *make_root(json_t *pre_tokenizer)
{
    return json_pack("{s:s, s:n, s:n, s:{s:s, s:[]}, s:o, s:n, s:o, "
                     "s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b}}",
                     "version", "1.0", "truncation", "padding", "normalizer", "type", "Sequence",
                     "normalizers", "pre_tokenizer", pre_tokenizer, "post_processor", "decoder",
                     byte_level(), "model", "type", "BPE", "dropout", "unk_token",
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                     "byte_fallback", 0, "ignore_merges", 0);
}

static json_t *make_added(const dsm_vocab *v, const dsm_tokenizer_train_options *o)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < o->n_specials; i++) {
        int32_t id = dsm_vocab_find(v, o->specials[i], strlen(o->specials[i]));
        bool repeated = (size_t)id < json_array_size(list);
        if (!repeated)
            json_array_append_new(list,
                                  json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id,
                                            "content", o->specials[i], "single_word", 0, "lstrip",
                                            0, "rstrip", 0, "normalized", 0, "special", 1));
    }
    return list;
}

static json_t *make_config(const dsm_tokenizer_train_options *o)
{
    json_t *c = json_pack("{s:s, s:b, s:b, s:b, s:i}", "tokenizer_class", "PreTrainedTokenizerFast",
                          "add_bos_token", 0, "add_eos_token", 0, "clean_up_tokenization_spaces", 0,
                          "model_max_length", 1000000000);
    if (c && o->bos) json_object_set_new(c, "bos_token", json_string(o->bos));
    if (c && o->eos) json_object_set_new(c, "eos_token", json_string(o->eos));
    if (c && o->pad) json_object_set_new(c, "pad_token", json_string(o->pad));
    return c;
}

/* --- training ---------------------------------------------------------------------------- */

static dsm_status learn(dsm_tokenizer_parts *p, const dsm_tokenizer_train_options *o,
                        dsm_scan_fn scan, dsm_document_fn next, void *arg, dsm_err *err)
{
    int32_t byte_id[N_BYTES];
    dsm_word_counts words;
    DSM_TRY(begin_vocab(&p->vocab, o, byte_id, err));
    DSM_TRY(dsm_word_counts_collect(&words, o, scan, next, arg, err));
    dsm_status status =
        words.n ? dsm_learn_merges(&p->vocab, byte_id, &words, o, &p->merges, &p->n_merges, err)
                : dsm_fail(err, DSM_EFORMAT, "training: the input has no text");
    dsm_word_counts_free(&words);
    return status;
}

dsm_status dsm_tokenizer_train(dsm_tokenizer **out, const dsm_tokenizer_train_options *o,
                               dsm_document_fn next, void *arg, dsm_err *err)
{
    dsm_tokenizer_parts p = {0};
    dsm_pretok pretok;
    json_t *chain;
    *out = NULL;
    dsm_unicode_init();
    DSM_TRY(check_options(o, err));
    DSM_TRY(dsm_pretok_preset(&chain, o->pretokenizer, err));
    dsm_status status = dsm_pretok_read(&pretok, chain, o->pretokenizer, err);
    if (status == DSM_OK) {
        dsm_pretok_recognise(&pretok);
        status = learn(&p, o, pretok.scan, next, arg, err);
        dsm_pretok_free(&pretok);
    }
    p.root = make_root(chain);
    p.added = make_added(&p.vocab, o);
    p.config = make_config(o);
    if (status == DSM_OK && (!p.root || !p.added || !p.config))
        status = dsm_fail(err, DSM_ENOMEM, "training: out of memory");
    if (status == DSM_OK) return dsm_tokenizer_build(out, &p, "trained tokenizer", err);
    dsm_tokenizer_parts_free(&p);
    return status;
}
