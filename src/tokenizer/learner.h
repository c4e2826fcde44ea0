/* SPDX-License-Identifier: MIT */
/* Learning merges from counted words: the reference trainer's procedure, step for step. */
#ifndef DSMOE_TOKENIZER_LEARNER_H
#define DSMOE_TOKENIZER_LEARNER_H

#include "dsmoe/tokenizer.h"
#include "tokenizer/bpe.h"
#include "tokenizer/vocab.h"
#include "tokenizer/word_counts.h"

/* Extend vocab (specials and the byte alphabet are in it) up to o->vocab_size entries. byte_id[b]
 * is the symbol of byte b. *merges is malloc'd. */
dsm_status dsm_learn_merges(dsm_vocab *vocab, const int32_t byte_id[256],
                            const dsm_word_counts *words, const dsm_tokenizer_train_options *o,
                            dsm_merge **merges, size_t *n_merges, dsm_err *err);

#endif
