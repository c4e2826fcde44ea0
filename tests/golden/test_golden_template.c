/* SPDX-License-Identifier: MIT */
/* template: what transformers made of templates and conversations, byte for byte (every .json in
 * tests/golden/template, or in the folders named as arguments; written by
 * tests/differential/compare_template.py). A file is {"variables", "groups": [{"name", "template",
 * "now", "cases": [{"name", "variables", "text"}]}]}: text is the rendering, null where it fails; a
 * case without variables takes the file's. */
#include "support/support.h"

#include "core/fs.h"
#include "core/json.h"
#include "template/template.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static int n_cases, n_wrong;

static void complain(const char *file, const char *name, const char *what, const char *found,
                     const char *expected)
{
    n_wrong++;
    fprintf(stderr, "%s: %s: %s\n--- found\n%s\n--- expected\n%s\n", file, name, what, found,
            expected);
}

/* One template of a file, with what its cases share. */
typedef struct group {
    const char *file;
    const json_t *json, *variables;
} group;

static dsm_status render(const group *g, const json_t *c, dsm_buf *out, dsm_err *err)
{
    const json_t *text = json_object_get(g->json, "template"),
                 *own = json_object_get(c, "variables");
    const dsm_template_options o = {.now = json_integer_value(json_object_get(g->json, "now"))};
    dsm_template *t;
    DSM_TRY(dsm_template_compile(&t, json_string_value(text), json_string_length(text), "template",
                                 err));
    dsm_status status = dsm_template_render(t, own ? own : g->variables, &o, out, err);
    dsm_template_free(t);
    return status;
}

static bool is_text(const json_t *expected, const dsm_buf *found)
{
    return found->len == json_string_length(expected) &&
           memcmp(found->data, json_string_value(expected), found->len) == 0;
}

static void check_case(const group *g, const json_t *c)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    char name[300];
    const json_t *expected = json_object_get(c, "text");
    dsm_status status = render(g, c, &out, &err);
    dsm_buf_add(&out, "", 0);
    snprintf(name, sizeof name, "%s: %s", json_string_value(json_object_get(g->json, "name")),
             json_string_value(json_object_get(c, "name")));
    n_cases++;
    if (json_is_null(expected)) {
        if (status == DSM_OK) complain(g->file, name, "rendered, expected an error", out.data, "");
        if (status != DSM_OK && !err.msg[0]) complain(g->file, name, "failed silently", "", "");
    } else if (status != DSM_OK) {
        complain(g->file, name, "failed", err.msg, json_string_value(expected));
    } else if (!is_text(expected, &out)) {
        complain(g->file, name, "differs", out.data, json_string_value(expected));
    }
    dsm_buf_free(&out);
}

static void check_group(const group *g)
{
    const json_t *cases = json_object_get(g->json, "cases"), *c;
    size_t i;
    json_array_foreach(cases, i, c) check_case(g, c);
}

static void check_file(const char *path)
{
    dsm_err err;
    json_t *file;
    assert_ok(dsm_json_read(&file, path, (size_t)1 << 28, &err));
    const json_t *groups = json_object_get(file, "groups"), *json;
    size_t i;
    if (!json_is_array(groups)) fail_msg("%s: no groups", path);
    json_array_foreach(groups, i, json)
    {
        const group g = {path, json, json_object_get(file, "variables")};
        check_group(&g);
    }
    json_decref(file);
}

static int is_json(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');
    return dot && strcmp(dot, ".json") == 0;
}

static void check_folder(const char *dir)
{
    struct dirent **names;
    int n = scandir(dir, &names, is_json, alphasort);
    if (n <= 0) fail_msg("%s: no .json here", dir);
    for (int i = 0; i < n; i++) {
        char *path = dsm_fs_join(dir, names[i]->d_name);
        check_file(path);
        free(path);
        free(names[i]);
    }
    free(names);
}

static const char *const *folders;

static void test_renderings(void **state)
{
    (void)state;
    for (const char *const *f = folders; *f; f++)
        check_folder(*f);
    printf("%d renderings, %d wrong\n", n_cases, n_wrong);
    assert_int_equal(n_wrong, 0);
}

int main(int argc, char **argv)
{
    static const char *const own[] = {TEST_SOURCE_DIR "/tests/golden/template", NULL};
    folders = argc > 1 ? (const char *const *)(argv + 1) : own;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_renderings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
