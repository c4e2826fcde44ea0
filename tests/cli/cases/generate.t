# dsmoe generate: prompts from flag and stdin, stops, JSON, and what cannot be continued.
$ sed 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/softmax/config.json > config.json
$ printf 'the cat and the dog and the hen' > text.txt
$ dsmoe tokenizer train --vocab-size 280 --out tok text.txt --quiet > out
$ dsmoe init config.json --out m --tokenizer tok --seed 3 > out

$ dsmoe generate
2> dsmoe generate: found 0 arguments, expected one MODEL
exit 2

$ dsmoe generate m --prompt x --temperature -1
2> dsmoe generate: --temperature: found -1, expected 0 to 1000
exit 2

$ dsmoe generate m --prompt x --top-kk 3
2> dsmoe generate: unknown flag --top-kk; did you mean --top-k?
exit 2

$ dsmoe generate nowhere --prompt x
2> dsmoe generate: nowhere: no such model (a folder with config.json, a run's folder, or a GGUF file)
exit 1

# The flag and stdin say the same; a seed and threads do not change between runs.
$ dsmoe generate m --prompt "the cat" --max-tokens 12 --quiet > a
$ printf 'the cat' | dsmoe generate m --max-tokens 12 --quiet --threads 2 > b
$ dsmoe generate m --prompt "the cat" --max-tokens 12 --quiet --seed 1 > c
$ cmp a b && ! cmp -s a c

$ dsmoe generate m --prompt "the cat" --max-tokens 3 --ignore-eos > a; wc -l < a
1> 1
2> 3 tokens at {*} per second after {*} of prompt at {*}; ended by length

$ dsmoe generate m --prompt "the cat" --max-tokens 3 --echo --quiet | head -c 7
1> the cat

$ dsmoe generate m --prompt "the cat" --max-tokens 4 --ignore-eos --json
1> {"text":"{*}","tokens":[{*},{*},{*},{*}],"finish_reason":"length","stop":null,"prompt_tokens":{*},"generated_tokens":4,"prompt_tokens_per_s":{*},"decode_tokens_per_s":{*},"load_s":{*},"first_token_s":{*}}

# An empty prompt begins a text.
$ dsmoe generate m --prompt "" --max-tokens 2 --ignore-eos --json
1> {{*}"prompt_tokens":1,"generated_tokens":2,{*}}

# The context holds 64 tokens.
$ dsmoe generate m --prompt "$(seq 100)"
2> dsmoe generate: prompt: found {*} tokens, the context holds 64
exit 1

$ dsmoe generate m --prompt "" --max-tokens 0 --ignore-eos --json
1> {{*}"finish_reason":"length",{*}"generated_tokens":64,{*}}

# A prompt out of a file; one prompt only.
$ printf 'the cat' > prompt.txt; dsmoe generate m --prompt-file prompt.txt --max-tokens 12 --quiet > b; dsmoe generate m --prompt "the cat" --max-tokens 12 --quiet > a; cmp a b

$ dsmoe generate m --prompt x --prefix y
2> dsmoe generate: expected one of --prompt, --prompt-file and --prefix
exit 2

$ dsmoe generate m --suffix y
2> dsmoe generate: --suffix goes with --prefix, which may be ""
exit 2

$ dsmoe generate m --prompt-file nowhere.txt
2> dsmoe generate: nowhere.txt: cannot open: No such file or directory
exit 1

# The experts behind each token: the second layer is the one with experts, of which two are chosen.
$ dsmoe generate m --prompt "the cat" --max-tokens 2 --ignore-eos --show-experts --quiet > out
2> {*} "{*}"
2>   layer 1: {*} 0.{*}, {*} 0.{*}
2> {*} "{*}"
2>   layer 1: {*} 0.{*}, {*} 0.{*}

$ dsmoe generate m --prompt "the cat" --max-tokens 2 --ignore-eos --show-experts --json
1> {{*}"experts":[[{"layer":1,"experts":[{*},{*}],"gates":[0.{*},0.{*}]}],[{"layer":1,{*}}]]}

# Between two texts, where the tokenizer has tokens for that.
$ dsmoe generate m --prefix "the" --suffix "dog"
2> dsmoe generate: this model's tokenizer has no tokens to fill in the middle with, <｜fim▁begin｜> and its like: it was not trained for that
exit 1

$ dsmoe tokenizer train --vocab-size 280 --out fim text.txt --quiet --special "<｜fim▁begin｜>" --special "<｜fim▁hole｜>" --special "<｜fim▁end｜>" > out
$ dsmoe init config.json --out f --tokenizer fim --seed 3 > out
$ n=$(($(printf 'the' | dsmoe tokenizer encode fim | wc -w) + $(printf ' dog' | dsmoe tokenizer encode fim | wc -w) + 3))
$ dsmoe generate f --prefix "the" --suffix " dog" --max-tokens 1 --ignore-eos --json | grep -c "\"prompt_tokens\":$n,"
1> 1

# Keys and values in fewer bits; with q8_0 heads of 8 hold less than a block.
$ dsmoe generate m --prompt "the cat" --max-tokens 4 --ignore-eos --cache-type f16 --quiet > a

$ dsmoe generate m --prompt x --cache-type f64
2> dsmoe generate: cache type: found "f64", expected f32, f16 or q8_0
exit 2

# Whoever reads a pipe may leave; a full device is an error.
$ dsmoe generate m --prompt "" --max-tokens 60 --ignore-eos --quiet | true

$ dsmoe generate m --prompt "" --max-tokens 9 --ignore-eos --quiet > /dev/full
2> dsmoe generate: cannot write to standard output: No space left on device
exit 1

$ rm m/tokenizer.json
$ dsmoe generate m --prompt x
2> dsmoe generate: m: found no tokenizer.json in this model's folder; copy the tokenizer the model was made with into it
exit 1

$ printf '{' > m/tokenizer.json
$ dsmoe generate m --prompt x
2> dsmoe generate: m/tokenizer.json: {*}
exit 1

$ cp $SOURCE/LICENSE license.txt
$ dsmoe tokenizer train --vocab-size 301 --out big license.txt --quiet > out
$ cp big/tokenizer.json m/tokenizer.json
$ dsmoe generate m --prompt x
2> dsmoe generate: m: its vocabulary has 301 entries, the model's vocab_size is 300: {*}
exit 1
