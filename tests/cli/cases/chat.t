# dsmoe chat without a terminal: answers on stdout, everything else on stderr; commands; what is fed.
$ sed -e 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/softmax/config.json > config.json
$ printf 'the cat and the dog and the hen' > text.txt
$ dsmoe tokenizer train --vocab-size 280 --out tok text.txt --quiet > out
$ dsmoe init config.json --out m --tokenizer tok --seed 3 > out

$ dsmoe chat
2> dsmoe chat: found 0 arguments, expected one MODEL
exit 2

$ dsmoe chat m --cache-type q3
2> dsmoe chat: cache type: found "q3", expected f32, f16 or q8_0
exit 2

$ dsmoe chat m --template nothing < /dev/null
2> dsmoe chat: m: template: found "nothing", neither one of the model's by name nor a file
exit 1

$ dsmoe chat m --context 65 < /dev/null
2> memory: {*}
2> this model brings no chat template: plain "User:" and "Assistant:" instead
2> dsmoe chat: context: found 65 tokens, the model was made for 64
exit 1

# The bill comes before the cache is taken.
$ dsmoe chat m --context 32 < /dev/null
2> memory: {*}B of weights (mapped), {*}B of buffers, {*}B of cache for 32 tokens (f16)
2> this model brings no chat template: plain "User:" and "Assistant:" instead

$ printf '/help\n/nothing\n/hepl\n/save\n/system\n/system Be.\n/system\n/experts\n/exit\nnever read\n' | dsmoe chat m --quiet
1> /help{*}
1> ...
1> /exit {*}
1> A backslash at the end of a line continues the message on the next one;
1> """ begins and ends one of several lines.
1> no system message
1> Be.
1> no answer yet
2> dsmoe chat: unknown command /nothing; see /help
2> dsmoe chat: unknown command /hepl; did you mean /help
2> dsmoe chat: /save: expected a FILE

# A template of the model's own, messages of several lines, and the text the model reads.
$ cat > m/chat_template.jinja <<'X'
$ {% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}
$ {% if add_generation_prompt %}assistant={% endif %}
$ X
$ printf 'a\\\nb\n/prompt\n"""c\nd"""\n/prompt\n' | dsmoe chat m --quiet --max-tokens 1 --ignore-eos --stop x > out; grep -v '^assistant' out | tail -n 2
1> b;assistant={*}
1> d;assistant={*}

# Only what is new is fed: the second answer's prompt begins with the first's.
$ printf 'a\nb\n' | dsmoe chat m --json --quiet --max-tokens 2 --ignore-eos --seed 2
1> {"text":{*},"finish_reason":"length","prompt_tokens":{*},"fed_tokens":{*},"generated_tokens":2,"context_tokens":{*},"context":64,"decode_tokens_per_s":{*}}
1> {"text":{*},"finish_reason":"length","prompt_tokens":{*},"fed_tokens":{*},"generated_tokens":2,"context_tokens":{*},"context":64,"decode_tokens_per_s":{*}}

# What a template refuses is told, and the conversation goes on; so with one that grows too long.
$ printf "{{ raise_exception('only poets') if messages | length > 1 else '' }}{{ messages[0].content }}" > m/chat_template.jinja
$ printf 'a\nb\n/reset\nc\n' | dsmoe chat m --quiet --max-tokens 1 --ignore-eos > out
2> dsmoe chat: chat template: line 1: the template says: only poets
2> dsmoe chat: some messages got no answer, see above
exit 1

$ printf '%0100d\n' 1 | dsmoe chat m --quiet
2> dsmoe chat: the conversation takes {*} tokens, the context holds 64: /reset, or start with a larger --context
2> dsmoe chat: some messages got no answer, see above
exit 1

# Saved and loaded again.
$ rm m/chat_template.jinja
$ printf 'x\n/save c.json\n' | dsmoe chat m --quiet --max-tokens 2 --system S > out; printf '/load c.json\n/reset\n/prompt\n' | dsmoe chat m --quiet
1> 3 messages
1> {*}S
1>
1> Assistant:

$ echo '{"messages": 3}' > bad.json; dsmoe chat m --load bad.json
2> dsmoe chat: bad.json: expected {"messages": [{"role", "content"}, …]}
exit 1

$ printf '{%% if %%}' > m/chat_template.jinja; dsmoe chat m --quiet < /dev/null
2> dsmoe chat: m: chat template: line 1: found "%}", expected a value
exit 1
