# dsmoe eval: prepared data and text, with what they must agree on.
$ sed 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/softmax/config.json > config.json
$ cp $SOURCE/LICENSE text.txt
$ dsmoe tokenizer train --vocab-size 290 --out tok text.txt --quiet > out
$ dsmoe tokenizer train --vocab-size 299 --out other text.txt --quiet > out
$ dsmoe tokenizer train --vocab-size 310 --out big text.txt --quiet > out
$ for t in tok other big; do dsmoe data prepare --tokenizer $t --out data-$t text.txt --quiet > out; done
$ dsmoe init config.json --out m --tokenizer tok > out

$ dsmoe eval m
2> dsmoe eval: expected either --data DIR or --text FILE
exit 2

$ dsmoe eval m --data data-tok --stride 3
2> dsmoe eval: --stride goes with --text: prepared data is packed already
exit 2

$ dsmoe eval m --text text.txt --load
2> dsmoe eval: --load and --sequences go with --data
exit 2

$ dsmoe eval m --data data-tok --load --quiet
1> loss           {*} nats per token
1> perplexity     {*}
1> bits per byte  {*}
1> scored         {*} tokens, {*} bytes of text, windows of 64, {*} tokens/s
1> experts        MaxVio {*} and router entropy {*} nats, means of 1 layers; {*} dead
1>
1> layer  MaxVio  dead  entropy   load of each expert, 1.00 = an even share
1>     1  {*}

$ dsmoe eval m --data data-tok --json --quiet --seq 32 --sequences 4
1> {"loss":{*},"perplexity":{*},"bits_per_byte":{*},"tokens":128,"bytes":{*},"seq_len":32,"seconds":{*},"max_vio":{*},"dead":{*},"entropy":{*},"load":[{"layer":1,"max_vio":{*},"dead":{*},"entropy":{*},"counts":[{*}]}]}

$ dsmoe eval m --text text.txt --text text.txt --json --quiet
1> {"loss":{*},"bits_per_byte":{*},"tokens":{*},"bytes":{*},"seq_len":64,"seconds":{*}}

# Token by token: every token of the file once, and the same figures.
$ dsmoe eval m --data data-tok --token-logprobs
2> dsmoe eval: --token-logprobs goes with --text
exit 2

$ printf 'Permission' > short.txt; dsmoe eval m --text short.txt --token-logprobs --quiet
1> short.txt
1> position      id    logprob    rank  text
1>        0  {*}  -{*}  {*}  "{*}"
1> ...
1> loss           {*} nats per token
1> perplexity     {*}
1> bits per byte  {*}
1> scored         {*} tokens, 10 bytes of text, windows of {*}, {*} tokens/s

$ dsmoe eval m --text text.txt --stride 20 --token-logprobs --json --quiet > tokens.jsonl; dsmoe eval m --text text.txt --stride 20 --json --quiet > plain.json
$ python3 - <<'X'
$ import json
$ *tokens, last = [json.loads(l) for l in open("tokens.jsonl")]
$ plain = json.load(open("plain.json"))
$ text = b"".join(bytes(t["bytes"]) if "bytes" in t else t["text"].encode() for t in tokens)
$ print(text == open("text.txt", "rb").read(), [t["position"] for t in tokens] == list(range(len(tokens))))
$ print(last["tokens"] == plain["tokens"] == len(tokens), abs(last["loss"] - plain["loss"]) < 1e-4,
$       abs(last["loss"] + sum(t["logprob"] for t in tokens) / len(tokens)) < 1e-6)
$ print(all(1 <= t["rank"] <= 300 for t in tokens), sorted(tokens[0]))
$ X
1> True True
1> True True True
1> True ['file', 'id', 'logprob', 'position', 'rank', 'text']

$ dsmoe eval m --text text.txt --stride 100
2> dsmoe eval: stride: found 100, expected at most the window, 64
exit 1

$ dsmoe eval m --data data-tok --seq 65
2> dsmoe eval: m: the model was made for 64 tokens, found a window of 65
exit 1

$ dsmoe eval m --data nowhere
2> dsmoe eval: nowhere/data.json: cannot open: No such file or directory
exit 1

$ dsmoe eval m --data data-other
2> dsmoe eval: data-other: made by another tokenizer than the one in m
exit 1

$ dsmoe eval m --data data-big
2> dsmoe eval: data-big: its vocabulary has {*} entries, the model's vocab_size is 300: {*}
exit 1

$ : > empty.txt
$ dsmoe eval m --text empty.txt
2> dsmoe eval: empty.txt: the file is empty
exit 1
