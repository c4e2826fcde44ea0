/* SPDX-License-Identifier: MIT */
/* Models on disk: Hugging Face directories, read and written; GGUF files, read (written:
 * gguf_save.h). */
#ifndef DSMOE_FORMATS_CHECKPOINT_H
#define DSMOE_FORMATS_CHECKPOINT_H

#include "model/params.h"

/* Does a path name a GGUF file, by its ending or by how it begins? */
bool dsm_checkpoint_is_gguf(const char *path);

/* The folder MODEL means: MODEL itself if it is a GGUF file or holds config.json, or what
 * checkpoints/latest in a run directory points to now; malloc'd, the caller frees. DSM_ENOTFOUND
 * names what was looked for. */
dsm_status dsm_checkpoint_resolve(char **dir, const char *model, dsm_err *err);

/* Open MODEL (resolved as above; what was used goes to *resolved, malloc'd, may be NULL):
 * config.json and model.safetensors or a sharded index, or a GGUF file. With DSM_MODEL_VALUES the
 * values are copied to the flat arrays as dsm_real, so the model can be trained; without it weights
 * stay in the file mapping, which the model owns. Every tensor of the table must be there with its
 * exact shape, and no other; see formats/bind.h. */
dsm_status dsm_checkpoint_open(dsm_model **out, const char *model, unsigned flags, char **resolved,
                               dsm_err *err);

/* Write config.json, generation_config.json and model.safetensors (one file up to 4 GiB of tensors,
 * else shards with an index) into an existing folder, values as dtype; routing state (bias, hash
 * tables) keeps its own. Not atomic by itself: write into a dsm_folder_writer's folder and commit.
 */
dsm_status dsm_checkpoint_write(const dsm_model *m, const char *dir, dsm_dtype dtype, dsm_err *err);

/* The same with shards of at most shard_bytes (a tensor larger than that is a shard of its own). */
dsm_status dsm_checkpoint_write_shards(const dsm_model *m, const char *dir, dsm_dtype dtype,
                                       uint64_t shard_bytes, dsm_err *err);

/* Copy the tokenizer's files (those of tokenizer.json, tokenizer_config.json,
 * special_tokens_map.json, chat_template.jinja that exist) from one folder to another.
 * DSM_ENOTFOUND without tokenizer.json. */
dsm_status dsm_checkpoint_copy_tokenizer(const char *to_dir, const char *from_dir, dsm_err *err);

/* Token ids that end a text: eos_token_id of generation_config.json (a number or a list), else of
 * config.json; in a GGUF file those of a text, a turn and a message. Fills up to max of them,
 * returns how many in *n. */
dsm_status dsm_checkpoint_eos(int32_t *ids, int max, int *n, const char *dir,
                              const dsm_model_config *c, dsm_err *err);

/* The chat template of a folder (chat_template.jinja, else of tokenizer_config.json) or a GGUF
 * file; malloc'd, NULL if there is none. */
dsm_status dsm_checkpoint_chat_template(char **text, const char *dir, dsm_err *err);

#endif
