# SPDX-License-Identifier: MIT
"""Chat templates of our own: formats of models written down from their description, and one small template
for each construct of the language."""

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"

# The texts of docs/chat.md, "What models expect".
DEEPSEEK_V2 = """{{ bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content + '\\n\\n' }}
    {%- elif message.role == 'user' %}
        {{- 'User: ' + message.content + '\\n\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- 'Assistant: ' + message.content + eos_token }}
    {%- else %}
        {{- raise_exception('found the role "' ~ message.role ~ '", expected system, user or assistant') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}
"""

DEEPSEEK_V3 = """{#- system texts first, then the turns -#}
{%- set ns = namespace(system='', results=false) %}
{%- for message in messages if message.role == 'system' %}
    {%- set ns.system = ns.system ~ ('' if loop.first else '\\n\\n') ~ message.content %}
{%- endfor %}
{{- bos_token ~ ns.system }}
{%- macro call(tool) -%}
    <｜tool▁call▁begin｜>{{ tool.type }}<｜tool▁sep｜>{{ tool.function.name }}
```json
{{ tool.function.arguments if tool.function.arguments is string else tool.function.arguments | tojson }}
```<｜tool▁call▁end｜>
{%- endmacro %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- set ns.results = false %}
        {{- '<｜User｜>' + message.content }}
    {%- elif message.role == 'assistant' %}
        {%- if message.tool_calls %}
            {{- '<｜Assistant｜><｜tool▁calls▁begin｜>' }}
            {%- for tool in message.tool_calls %}
                {%- if not loop.first %}{{ '\\n' }}{% endif %}
                {{- call(tool) }}
            {%- endfor %}
            {{- '<｜tool▁calls▁end｜>' + eos_token }}
        {%- else %}
            {{- '<｜tool▁outputs▁end｜>' if ns.results else '<｜Assistant｜>' }}
            {{- message.content + eos_token }}
        {%- endif %}
        {%- set ns.results = false %}
    {%- elif message.role == 'tool' %}
        {{- '\\n' if ns.results else '<｜tool▁outputs▁begin｜>' }}
        {{- '<｜tool▁output▁begin｜>' + message.content + '<｜tool▁output▁end｜>' }}
        {%- set ns.results = true %}
    {%- endif %}
{%- endfor %}
{%- if ns.results %}{{ '<｜tool▁outputs▁end｜>' }}
{%- elif add_generation_prompt %}{{ '<｜Assistant｜>' }}
{%- endif %}
"""

LLAMA_2 = """{% if messages and messages[0]['role'] == 'system' %}
    {% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}
    {% set turns = messages[1:] %}
{% else %}
    {% set system, turns = '', messages %}
{% endif %}
{% for message in turns %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('user and assistant take turns') }}
    {% endif %}
    {% set text = system + message['content'] if loop.first else message['content'] %}
    {% if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + text.strip() + ' [/INST]' }}
    {% else %}
        {{- ' ' ~ text | trim ~ ' ' + eos_token }}
    {% endif %}
{% endfor %}
"""

CHATML = """{% for message in messages %}
{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}{% endif %}
{{ '<|im_start|>' + message['role'] + '\\n' }}{% generation %}{{ message['content'] }}{% endgeneration %}{{ '<|im_end|>\\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}
"""

OWN = {
    "deepseek_v2": (DEEPSEEK_V2, {"bos_token": BOS, "eos_token": EOS}),
    "deepseek_v3": (DEEPSEEK_V3, {"bos_token": BOS, "eos_token": EOS}),
    "llama_2": (LLAMA_2, {"bos_token": "<s>", "eos_token": "</s>"}),
    "chatml": (CHATML, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}),
}

DATA = {
    "n": 7, "x": 0.1, "yes": True, "nothing": None, "word": "Héllo wörld", "lines": "a\nb\r\n\nc",
    "list": [3, 1, 2], "names": ["b", "A", "c"], "table": {"one": 1, "two": [2, None, True], "ü": "ß\"'\\\n\t\u007f"},
    "people": [{"name": "Ann", "age": 30, "pet": {"kind": "cat"}}, {"name": "bob", "age": 25}, {"name": "Cid"}],
    "deep": [[1, [2, [3]]], {"a": {"b": []}}], "empty": "", "none_list": [],
}

# Whitespace around tags.
LAYOUT = [
    "a\n  {% if true %}\n b\n  {% endif %}\nc", "a {%- if true -%} \n b \n {%- endif -%} \n c",
    "a\n  {{ n }}\n b", "a\n  {{- n -}}\n  b", "{% if true %}\n\nx\n\n{% endif %}\n\n", "x\n", "x\n\n", "\n", "", "  \n",
    "a\n  {%+ if true %}\n b\n  {%+ endif %}\nc", "a\n{% if true +%}\nb\n{% endif +%}\nc",
    "a\n  {# comment #}\nb", "a {#- c -#} b", "a\n\t{# two\nlines #}  \nb", "{##}x", "{#-#} x",
    "a {{ '}}' }} {{ \"%}\" }} b", "{{ {'a': {'b': 1}} }}", "{% raw %}{{ x }} {% if %}{% endraw %}\nz",
    "a\n  {% raw %}\n  b {%- endraw %}\nc", "a {%- raw -%} \n b {%- endraw -%} \n c", "a\r\nb\rc\r\n",
    "{% for i in [1, 2] %}\n  {{ i }}\n{% endfor %}\n", "\u3000 {%- if true %}x{% endif -%} \u2003 y",
    "{{ '\\n' }}  {% if true %}x{% endif %}", "a  {{n}}  {% if true %}  {{n}}  {% endif %}  b", "\ufeffx",
]

# Expressions; each is rendered as {{ … }} with DATA.
EXPRESSIONS = """
n + 1 - 2 * 3 | 7 // 2 ~ 7 / 2 ~ -7 // 2 ~ -7 % 3 ~ 7 % -3 | 2 ** 10 ~ 2 ** -1 ~ 2 ** 3 ** 2 | -n | +n | - 2 ** 2
1 / 3 | 1e16 ~ ' ' ~ 1e15 ~ ' ' ~ 1e-5 ~ ' ' ~ 0.0001 ~ ' ' ~ 123456.789e3 ~ ' ' ~ 5.0 ~ ' ' ~ 1_000
0.1 + 0.2 | 1.5 // 1 ~ ' ' ~ -1.5 % 1 | 100000000000000000000.0 | 3 * 'ab' ~ 'x' * 0 ~ [1] * 2 | 7 % 2.5 | true + 1
n == 7.0 | 1 < 2 < 3 | 1 < 3 < 2 | 'a' < 'b' | [1, 2] < [1, 3] | (1, 2) == (1, 2) | [1] == (1,) | 'ä' > 'z' | 1 == true
'or' in word | 'wör' in word | 2 in list | 9 not in list | 'one' in table | none in [none] | '' in '' | 'x' in missing
not yes | not missing | yes and 'b' | empty or 'default' | none or missing or 0 | 1 and 2 or 3 | not not 1
'a' if yes else 'b' | 'a' if not yes | ('a' if not yes) is defined | 'a' if missing else 'b' if empty else 'c'
word[0] | word[1] | word[-1] | word[99] | word[1:4] | word[::-1] | word[::2] | word[-3:] | word[:-3] | word[5:2]
list[0] ~ list[-1] | list[1:] | list[::-1] | list[:1] ~ list[5:] | list[-2:] | list[::-2] | (1, 2, 3)[1:] | range(5)[1]
table.one | table['two'][0] | table.two.1 | table['ü'] | table.missing | table.missing is defined | table.get('one')
table.get('x', 'y') ~ table.get('x') | table | deep | people | none_list | (1,) | () | {} | [[]]
'a' in table.keys() | people[0].pet.kind | people[1].pet is undefined
"it's" ~ ' and "that"' ~ ["it's", '"', "'\\"", 'é\\x07\\u200b\\U0001F600\\xa0'] | 'a' 'b' "c" | '\\x41\\u00e9\\101\\q\\/'
[1.0, 1e100, -0.0, true, none, 'x'] | {'a': 1, 2: 'b', none: true, (1, 2): []} | '%s' is string | ['\\n\\t\\r\\\\']
word | upper | word | lower | 'hELLO wORLD-foo (bar' | title | 'hELLO' | capitalize | 'ab cd'.title() | "they're".title()
'  a b  ' | trim ~ '|' | 'xxaxx' | trim('x') | word | length | list | length | table | length | missing | length | table | count
'  a '.strip() ~ '|' ~ '  a '.lstrip() ~ '|' ~ '  a '.rstrip() ~ '|' | 'xyaxy'.strip('yx') | '\u3000a\u2003'.strip()
'a,b,,c'.split(',') | ' a  b c '.split() | 'a,b,c'.split(',', 1) | ' a  b c '.split(none, 1) | ''.split() | ''.split(',')
'a,b,c'.rsplit(',', 1) | ' a  b c '.rsplit(none, 1) | ' a b '.rsplit() | 'a-b-c'.partition('-') | 'a-b-c'.rpartition('-') | 'a'.partition('-')
lines.splitlines() | lines.splitlines(true) | ''.splitlines() | 'x\\n'.splitlines() | 'a'.startswith('a') | 'abc'.startswith(('x', 'ab'))
'abc'.endswith('bc') ~ 'abc'.endswith('') | 'abc'.removeprefix('a') ~ 'abc'.removesuffix('c') | 'a'.removeprefix('x')
word.find('w') ~ word.rfind('l') ~ word.find('zz') | word.count('l') ~ word.count('') | 'aXbX'.replace('X', '-') | 'aaa'.replace('a', 'b', 2)
'abc'.replace('', '-') | 'abc'.replace('', '-', 2) | 'abc' | replace('b', 'é') | 'aaa' | replace('a', 'b', 1) | ', '.join(names)
'abc'.index('c') | '12'.isdigit() ~ ''.isdigit() ~ '1a'.isdigit() | ' '.isspace() | 'ÄÖ'.lower()
list | join(', ') | list | join | people | join(', ', attribute='name') | 'abc' | join('-') | list | first ~ list | last | none_list | first
list | sort | list | sort(reverse=true) | names | sort | names | sort(case_sensitive=true) | people | sort(attribute='name') | map(attribute='name') | list
table | dictsort | {'b': 1, 'A': 2} | dictsort | {'b': 1, 'A': 2} | dictsort(true) | {'b': 1, 'A': 2} | dictsort(false, 'value') | {'b': 1} | dictsort(reverse=true)
list | reverse | list | word | reverse | list | min ~ list | max | names | min ~ names | max | people | map(attribute='age') | list
people | map(attribute='pet.kind', default='none') | list | names | map('upper') | list | names | map('replace', 'A', 'X') | join
people | selectattr('age') | list | length | people | selectattr('age', 'defined') | map(attribute='name') | join(',')
people | selectattr('name', 'equalto', 'Ann') | list | length | people | rejectattr('age', 'defined') | map(attribute='name') | list
people | selectattr('age', 'gt', 26) | list | list | select('odd') | list | list | reject('odd') | list | ['', 'a', 0] | select | list
(people | selectattr('name', 'equalto', 'nobody')) is defined | 'yes' if people | selectattr('name', 'equalto', 'nobody') else 'no'
[1, 2, 1, 'a', 'A'] | unique | list | list | sum | people | selectattr('age', 'defined') | sum(attribute='age') | [0.5, 1] | sum | list | sum(start=10)
missing | default('x') | empty | default('x') | empty | default('x', true) | none | default('x') | n | default('x') | missing | default | missing | d(1)
'12' | int ~ 'x' | int ~ 'x' | int(5) ~ 3.9 | int ~ ' 7 ' | int ~ '3.7' | int | '1.5' | float ~ 2 | float ~ 'x' | float | -3 | abs ~ -2.5 | abs
2.5 | round ~ 3.5 | round ~ 2.675 | round(2) ~ 2.1 | round(method='ceil') ~ 2.19 | round(1, 'floor') | n | string ~ list | string
table | items | list | 'a\\nb\\n\\nc' | indent | 'a\\nb' | indent(2, true) | 'a\\n\\nb' | indent(1, blank=true) | '<a>' | safe
table | tojson | deep | tojson | 'é\\u2028</script>' | tojson | table | tojson(indent=2) | {} | tojson(indent=2) | [[], {}] | tojson(indent=1)
table | tojson(ensure_ascii=true) | '🙂\\x7f' | tojson(ensure_ascii=true) | {'b': 1, 'a': [1, 2]} | tojson(sort_keys=true)
{'b': 1, 'a': [1, 2]} | tojson(separators=(',', ':')) | [1.0, 1e-7, none, true, 0.1] | tojson | {1: 2, none: 3, true: 4, 1.5: 5} | tojson | (1, 2) | tojson
n is odd ~ n is even ~ n is divisibleby 7 ~ (n is divisibleby(2)) | n is number ~ x is float ~ n is integer ~ yes is integer ~ yes is number
yes is boolean ~ yes is true ~ n is true ~ none is none ~ nothing is not none ~ word is string | table is mapping ~ list is mapping
list is iterable ~ word is iterable ~ n is iterable ~ missing is iterable | list is sequence ~ word is sequence ~ table is sequence ~ n is sequence
missing is defined ~ missing is undefined ~ n is defined ~ missing is not defined | word is lower ~ 'a1' is lower ~ 'AB' is upper ~ '1' is upper
n is eq 7 ~ n is ne 7 ~ n is lt 8 ~ n is ge 7 ~ n is sameas n ~ list is sameas list ~ 1 is sameas true | n is in [7] ~ 'a' is in 'abc'
range is callable ~ n is callable | not n is odd | n is odd and word is string | n is not odd or true | (n is odd) == true
dict(a=1, b=2) | dict({'x': 1}, y=2)
namespace(a=1).a | namespace(a=1).b is defined | namespace({'a': 1}).a | strftime_now('%Y-%m-%d %H:%M') | strftime_now('%d %b %Y')
people[0]['name'] | people[0] | attr('name') | n | attr('name') is defined | list | attr('x') is undefined | people | map(attribute='age', default=0) | sum
1, 2 | (1, 'a'), | none | true ~ True ~ false ~ none ~ None | [] ~ {} | missing ~ 'x' | 'a' ~ 1 ~ none ~ [1] | 1 if 0 else 2 if 0 else 3
names.index('A') | [1, 1, 2].count(1) | table.two | map('string') | join('/') | 9223372036854775807 | 0x | 1.
missing.x | missing + 1 | n + 'a' | 'a' + n | list + 1 | none.x | n() | missing() | n | nofilter | n is notest | 1 / 0 | 1 % 0 | list['a']
people[5].name | table.one.two.three | 'a' < 1 | none < 1 | n | length | none | length | 5 | join | none | list | {[]: 1} | {{}: 1}
list.append(4) | table.update({}) | table.pop('one') | 'a'.split('') | 'a'.index('b') | [1, 'a'] | sort | none | tojson | missing | tojson
raise_exception('no') | messages.x | range(1, 5, 0) | list[::0] | 'a' * 'b' | -'a' | [1] + (1,) | '5' | abs | word.nothing() | 'a' 'b | (1 | [1
n | upper(1) | n | default(1, 2, 3) | 'a'.strip('a', 'b') | people | map | people | selectattr | people | map('nofilter') | n | tojson(no=1)
1 +* 2 | n is | n | | a b | 1 2 | {1} | {1: } | [1 2] | f(a=1, 2) | f(*list) | n is odd is even | "\\x4"
"""

STATEMENTS = [
    "{% for i in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for i in list %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for i in list %}{% for k in list %}{{ loop.depth }}{{ loop.index }}{{ i }}{{ k }} {% endfor %}{{ loop.depth0 }}{% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}{% for i in [1] %}x{% else %}none{% endfor %}",
    "{% for i in list if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% else %}none{% endfor %}",
    "{% for i in list if i > 9 %}x{% else %}none{% endfor %}", "{% for i in missing %}x{% else %}none{% endfor %}",
    "{% for k, v in table.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in table %}{{ k }}{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}", "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}", "{% for c in 'aé' %}{{ c }}.{% endfor %}", "{% for i in 5 %}{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(3) %}{% for k in range(3) %}{% if k == 1 %}{% break %}{% endif %}{{ i }}{{ k }} {% endfor %}|{% endfor %}",
    "{% set x = 1 %}{% for i in list %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(x=1) %}{% for i in list %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a = [1] %}{% set ns.b = ns.a + [2] %}{{ ns.b }}{{ ns.c }}",
    "{% if yes %}{% set y = 5 %}{% endif %}{{ y }}{% if not yes %}{% set z = 5 %}{% endif %}{{ z }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}", "{% set x %}a{{ n }}\nb{% endset %}[{{ x }}]{{ x is string }}",
    "{% set x | upper | trim %} abc {% endset %}[{{ x }}]", "{% filter upper %}a{{ word }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}aaa{% endfilter %}", "{% set table.one = 2 %}", "{% set x = 1 %}{% set x.y = 2 %}",
    "{% if n == 1 %}a{% elif n == 7 %}b{% elif n %}c{% else %}d{% endif %}", "{% if missing %}a{% elif empty %}b{% else %}c{% endif %}",
    "{% macro f(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(b=4, a=5) }} {{ f() }}",
    "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro f() %}{{ n }}{{ later }}{% endmacro %}{% set later = 9 %}{{ f() }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{% endmacro %}{{ f(b=1) }}", "{% macro f(a) %}{% set n = a %}{{ n }}{% endmacro %}{{ f(1) }}{{ n }}",
    "{% macro f(a) -%}\n  {{ a }}\n{%- endmacro %}[{{ f('x') }}]{{ f('x') | length }}", "{% macro f() %}{% endmacro %}{{ f() is string }}",
    "{% for i in list %}{% macro g() %}{{ i }}{% endmacro %}{{ g() }}{% endfor %}",
    "{% generation %}a{{ n }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{%- generation -%} x {%- endgeneration -%} y", "{% set g = names | map('upper') %}{{ g | join }}|{{ g | join }}",
    "{% set loop_messages = names %}{% for m in loop_messages %}{% if loop.last and not loop.first %}{{ m }}{% endif %}{% endfor %}",
    "{% for m in people %}{{ m.name }}{% if not loop.last %}, {% endif %}{% endfor %}", "{{ loop is defined }}{% for i in [1] %}{{ loop is defined }}{% endfor %}",
    "{% for i in list %}{{ loop.missing is defined }}{{ loop['index'] }}{% endfor %}", "{% for i in list | sort %}{{ i }}{% endfor %}",
    "{% set x = namespace(v=none) %}{% if x.v is none %}n{% endif %}{% set x.v = 'a' ~ x.v %}{{ x.v }}",
    "{% if true %}", "{% endif %}", "{% for i in list %}", "{% for i list %}{% endfor %}", "{% set %}", "{% set x = %}", "{% macro %}{% endmacro %}",
    "{% unknown %}", "{% if %}{% endif %}", "{{ }}", "{{ n", "{% if n", "{# n", "{% raw %} n", "{{ n }", "{{ (n }}", "{{ n) }}", "{{ 'n }}", "{{ n % }}",
    "{% else %}", "{% break %}", "{% for i in list %}{% endif %}{% endfor %}", "{{ n $ 2 }}", "{% set a, b = 1 %}", "{% set a, b = 1, 2, 3 %}",
    "{% if n %}a{% else %}b{% else %}c{% endif %}",
    "{%if n%}a{%endif%}", "{{n}}{{-n}}{{+n}}", "{%-set x=1-%}{{x}}", "{% set true_ = 1 %}{{ true_ }}", "{% if (n == 7) %}y{% endif %}",
]


# The same, where " | " cannot be told from a filter's.
WHOLE = [
    "table.items() | list", "table.values() | list", "table.keys() | length", "range(3) | list", "range(1, 4) | list",
    "range(5, 0, -2) | list", "range(0) | list", "range(3) | length", "table | items | list | length",
    "'<' | safe + '<' + '\"&'", "'<' + ('>' | safe)", "'<' | safe | upper | trim + '<'", "'<' | e", "'<' | e | e | escape",
    "('<' | safe)[0] + '<'", "'<' | safe ~ '<'", "'<' | safe | replace('x', 'y') + '<'", "'<' | safe | tojson", "none | map('upper') | list",
    "none | selectattr('x') | list", "5 | map('upper') | list", "'{} {} {{}} {}'.format(1, 'a', none)", "'{1}{0}{a}'.format(1, 2, a=3)",
    "'{'.format()", "'{}'.format()", "'}'.format()", "'{a}'.format(1)", "[] in {}", "(1,) in {(1,): 2}", "range(3) | tojson",
]


def expressions():
    """The expressions of a line are set apart by ' | ' where both sides are complete: tried as a whole too."""
    for line in EXPRESSIONS.strip().splitlines():
        yield line
        yield from line.split(" | ")


CONSTRUCTS = LAYOUT + ["{{ %s }}" % e for e in WHOLE + list(expressions())] + STATEMENTS
