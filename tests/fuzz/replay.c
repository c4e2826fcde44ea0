/* SPDX-License-Identifier: MIT */
/* Run a fuzz target over the files of the folders named: what builds without libFuzzer link. The
 * name of each input is printed before it runs, so the last line of a crash names the culprit. */
#include "fuzz.h"

#include "core/fs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Mutators are linked, and never called here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
    (void)data, (void)max;
    return size;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

/* The input in a buffer of exactly its size, so that AddressSanitizer sees any read past it. */
static bool replay(const char *path)
{
    dsm_buf text = {0};
    dsm_err err = {0};
    printf("%s\n", path);
    fflush(stdout);
    if (dsm_fs_read(&text, path, (size_t)1 << 30, &err) != DSM_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return false;
    }
    uint8_t *exact = malloc(text.len ? text.len : 1);
    if (exact && text.len) memcpy(exact, text.data, text.len);
    if (exact) LLVMFuzzerTestOneInput(exact, text.len);
    free(exact);
    dsm_buf_free(&text);
    return true;
}

/* Number of inputs that ran, -1 if one could not be read. */
static int replay_folder(const char *dir)
{
    struct dirent **names;
    int n = scandir(dir, &names, not_hidden, by_name);
    bool ok = n >= 0;
    for (int i = 0; i < n; i++) {
        char *path = dsm_fs_join(dir, names[i]->d_name);
        ok = ok && path && replay(path);
        free(path);
        free(names[i]);
    }
    if (n >= 0) free(names);
    return ok ? n : -1;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay_folder(argv[i]);
        if (n <= 0) {
            fprintf(stderr, "%s: no corpus could be read here\n", argv[i]);
            return 1;
        }
        total += n;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
