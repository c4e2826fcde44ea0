/* SPDX-License-Identifier: MIT */
/* template: what is said when one is wrong, and that none goes on without end. What templates
 * render is tested in tests/golden/test_golden_template.c. */
#include "support/support.h"

#include "template/template.h"

#include <stdio.h>
#include <string.h>

static dsm_err err;

static dsm_status render(const char *text, dsm_buf *out)
{
    dsm_template *t;
    DSM_TRY(dsm_template_compile(&t, text, strlen(text), "t", &err));
    json_t *variables = json_pack("{s:s, s:[i,i,i]}", "word", "abc", "list", 3, 1, 2);
    dsm_status status = dsm_template_render(t, variables, NULL, out, &err);
    json_decref(variables);
    dsm_template_free(t);
    return status;
}

static void expect_failure(const char *text, dsm_status code, const char *message)
{
    dsm_buf out = {0};
    assert_fails(render(text, &out), code, message);
    dsm_buf_free(&out);
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a\n{{ nothing.x }}", "t: line 2: \"nothing\" is undefined"},
        {"{% include 'x' %}", "t: line 1: the tag \"include\" is not supported here"},
        {"\n\n{{ word | pprint }}", "t: line 3: the filter \"pprint\" is not supported"},
        {"{{ word is prime }}", "the test \"prime\" is not supported"},
        {"{{ word.encode() }}", "this str has no \"encode\""},
        {"{{ word.upper(1) }}", "upper: found 1 arguments, expected at most 0"},
        {"{{ word.replace('a') }}", "replace: the argument \"new\" is missing"},
        {"{{ list.append(1) }}", "the method \"append\" of list would change it"},
        {"{{ word + 1 }}", "str and int cannot stand around \"+\""},
        {"{{ raise_exception('roles must alternate') }}",
         "the template says: roles must alternate"},
        {"{% if word %}\nx", "line 2: found the template's end, expected endif"},
        {"{% for x in list %}{% endif %}", "the tag \"endif\" is not supported here"},
        {"{% for x in list recursive %}{% endfor %}", "recursive loops are not supported"},
        {"{{ f(*list) }}", "unpacked arguments (*) are not supported"},
        {"{{ 'a", "this string has no end"},
        {"{{ [1, 2 }}", "found \"}\", nothing is open that it closes"},
        {"{{ 1 ? 2 }}", "found \"?\", which begins nothing here"},
        {"{# x", "this comment has no end"},
        {"{% break %}", "\"break\" stands outside of a loop"},
        {"{{ 99999999999999999999 }}", "larger than 64 bits"},
        {"\xC3", "t: found bytes that are not UTF-8"},
        {"{{ range(3) }}", "found range, which has no text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_failure(cases[i].text, DSM_EFORMAT, cases[i].message);
}

/* Templates that would take all time, all memory or the whole stack. */
static void test_limits(void **state)
{
    (void)state;
    static const char *const endless[] = {
        "{% for a in range(1000000000) %}{% endfor %}",
        "{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{{ f(n) ~ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x "
        "%}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] "
        "%}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor "
        "%}{{ ns.x }}",
        "{% for i in range(99999) %}{{ 'a' * 100000 }}{% endfor %}",
        "{{ 'a' * 9000000000000000000 }}",
        "{{ [1] * 9000000000000000000 }}",
        "{% for i in range(9999) %}{{ ('a' * 10000).replace('a', 'b' * 10000) }}{% endfor %}",
        "{{ list | tojson(indent=999) | tojson(indent=1001) }}",
    };
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        dsm_buf out = {0};
        dsm_status status = render(endless[i], &out);
        if (status != DSM_ELIMIT && status != DSM_EFORMAT)
            fail_msg("%s: status %d", endless[i], (int)status);
        dsm_buf_free(&out);
    }
}

static void test_nesting(void **state)
{
    (void)state;
    static const char *const parts[][2] = {{"{{ ", "("},
                                           {"{{ ", "["},
                                           {"{{ ", "-"},
                                           {"{{ ", "not "},
                                           {"", "{% if 1 %}"},
                                           {"{{ 1", "+1"},
                                           {"{% if 0 %}", "{% elif 0 %}"},
                                           {"{{ word", ".x"},
                                           {"{{ 1", " if 1 else 1"},
                                           {"{{ word", "|upper"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        dsm_buf text = {0}, out = {0};
        dsm_buf_str(&text, parts[i][0]);
        for (int k = 0; k < 50000; k++)
            dsm_buf_str(&text, parts[i][1]);
        dsm_buf_str(&text, " }}");
        assert_int_not_equal(render(text.data, &out), DSM_OK);
        dsm_buf_free(&text);
        dsm_buf_free(&out);
    }
}

static void test_twice(void **state)
{
    (void)state;
    static const char text[] = "{% set x = list | sort %}{{ x }}";
    dsm_template *t;
    dsm_buf out = {0};
    assert_ok(dsm_template_compile(&t, text, strlen(text), "t", &err));
    json_t *variables = json_pack("{s:[i,i]}", "list", 2, 1);
    for (int i = 0; i < 2; i++)
        assert_ok(dsm_template_render(t, variables, NULL, &out, &err));
    assert_string_equal(out.data, "[1, 2][1, 2]");
    json_decref(variables);
    dsm_buf_free(&out);
    dsm_template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
