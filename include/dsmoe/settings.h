/* SPDX-License-Identifier: MIT */
/* Plain values that settings structs are made of: bounded, owned by the struct they stand in, so
 * that a settings struct can be copied and needs no clean-up. */
#ifndef DSMOE_SETTINGS_H
#define DSMOE_SETTINGS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DSM_TEXT_MAX = 1024, DSM_LIST_MAX = 16 };

typedef struct dsm_number_list {
    int n;
    double item[DSM_LIST_MAX];
} dsm_number_list;

typedef struct dsm_text_list {
    int n;
    char item[DSM_LIST_MAX][DSM_TEXT_MAX];
} dsm_text_list;

/* Folders with weights: "dir", or [{dir: A, weight: 2}, {dir: B}] (a missing weight is 1). */
typedef struct dsm_dir_list {
    int n;
    struct {
        char dir[DSM_TEXT_MAX];
        double weight;
    } item[DSM_LIST_MAX];
} dsm_dir_list;

#ifdef __cplusplus
}
#endif
#endif
