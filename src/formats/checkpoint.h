/* SPDX-License-Identifier: MIT */
/* Models on disk: Hugging Face folders, read and written; GGUF files, read (written: gguf_save.h).
 */
#ifndef DSMOE_FORMATS_CHECKPOINT_H
#define DSMOE_FORMATS_CHECKPOINT_H

#include "formats/save.h"

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
 * exact shape, and no other; see formats/bind.h. With
 * DSM_MODEL_LATER the model cannot run: its values are for dsm_bound_values. */
dsm_status dsm_checkpoint_open(dsm_model **out, const char *model, unsigned flags, char **resolved,
                               dsm_err *err);

/* Write a model into an existing folder, values as o->dtype; routing state (bias, hash tables)
 * keeps its own. Weights go to model.safetensors, or what is more than shard_bytes (0: 4 GiB) to
 * shards with an index; a tensor larger than that is a shard of its own. With them go
 * generation_config.json, unless one is there, the Python files of type deepseek, and at the end
 * config.json. Memory: that of one parameter's values, if somebody has to make them. Not atomic by
 * itself: write into a dsm_folder_writer's folder and commit. Errors: DSM_EINTERRUPTED; those of
 * writing. */
dsm_status dsm_checkpoint_save(const dsm_model *m, const char *dir, uint64_t shard_bytes,
                               const dsm_save_options *o, dsm_err *err);

/* The same for a model that has its values, by the caller alone. */
dsm_status dsm_checkpoint_write(const dsm_model *m, const char *dir, dsm_dtype dtype, dsm_err *err);

/* Write generation_config.json with these ids (n may be 0) as the ends of a text, if there is
 * none. */
dsm_status dsm_checkpoint_write_generation(const char *dir, const dsm_model_config *c,
                                           const int32_t *ends, int n, dsm_err *err);

/* Copy the tokenizer's files (those of tokenizer.json, tokenizer_config.json,
 * special_tokens_map.json, chat_template.jinja that exist) from one folder to another.
 * DSM_ENOTFOUND without tokenizer.json. */
dsm_status dsm_checkpoint_copy_tokenizer(const char *to_dir, const char *from_dir, dsm_err *err);

/* Token ids that end a text: eos_token_id (a number or a list) of generation_config.json, else of
 * config.json; in a GGUF file those of a text, a turn and a message. Fills up to max of them,
 * returns how many in *n. */
dsm_status dsm_checkpoint_eos(int32_t *ids, int max, int *n, const char *dir,
                              const dsm_model_config *c, dsm_err *err);

/* The chat template of that name (NULL: "default") of a folder (chat_template.jinja or
 * additional_chat_templates/NAME.jinja, else of tokenizer_config.json) or a GGUF file; malloc'd,
 * NULL if there is none. */
dsm_status dsm_checkpoint_chat_template(char **text, const char *dir, const char *name,
                                        dsm_err *err);

#endif
