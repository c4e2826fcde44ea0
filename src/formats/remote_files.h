/* SPDX-License-Identifier: MIT */
/* The files of src/formats/remote/, as bytes: remote_files.c is made of them at build time. */
#ifndef DSMOE_FORMATS_REMOTE_FILES_H
#define DSMOE_FORMATS_REMOTE_FILES_H

#include "core/embedded.h"

extern const dsm_embedded_file dsm_remote_files[];
extern const size_t dsm_n_remote_files;

#endif
