# dsmoe tokenizer: a small one trained, used, and what wrong input says.
$ for i in 1 2 3; do echo "the cat and the hat, the bat and the rat: 猫和帽子 $i"; done > in.txt
$ dsmoe tokenizer train --quiet --vocab-size 280 --out tok in.txt
1> 280 entries from 1 documents, {*} bytes; written to tok

$ ls tok
1> special_tokens_map.json
1> tokenizer.json
1> tokenizer_config.json

$ dsmoe tokenizer info tok | head -1
1> entries        280, 3 of them special

$ dsmoe tokenizer info tok --json
1> {{*}}

$ dsmoe tokenizer decode tok $(dsmoe tokenizer encode tok "the cat, 帽子!")
1> the cat, 帽子!

$ printf 'two\nlines' | dsmoe tokenizer encode tok > ids && dsmoe tokenizer decode tok < ids
1> two
1> lines

$ printf 'the cat\0the hat\0' | dsmoe tokenizer encode tok --null | wc -l
1> 2

$ dsmoe tokenizer encode tok "a<｜end▁of▁sentence｜>" --no-special | grep -cw 1
1> 0
exit 1

$ dsmoe tokenizer encode tok "<｜end▁of▁sentence｜>"
1> 1

$ dsmoe tokenizer bench tok in.txt
1> 1 documents, {*} tokens in {*} MB/s

# what is there stays
$ dsmoe tokenizer train --quiet --vocab-size 270 --out tok in.txt
2> dsmoe tokenizer: tok: holds a tokenizer already; name another --out, or remove it first
exit 2

# wrong usage
$ dsmoe tokenizer
2> dsmoe tokenizer: found nothing, expected train, encode, decode, info or bench; see dsmoe help tokenizer
exit 2

$ dsmoe tokenizer train --out x in.txt
2> dsmoe tokenizer: --vocab-size N is missing
exit 2

$ dsmoe tokenizer train --vocab-size 100 --out x in.txt
2> dsmoe tokenizer: vocabulary size: found 100, expected 259 {*}
exit 2

$ dsmoe tokenizer train --vocab-size 300 --pretokenizer none --out x in.txt
2> dsmoe tokenizer: pre-tokenizer: found "none", expected deepseek-v3, {*}
exit 2

$ dsmoe tokenizer decode tok 280
2> dsmoe tokenizer: decode: found "280", expected an id from 0 to 279
exit 2

$ dsmoe tokenizer info
2> dsmoe tokenizer: info: found 0 folders, expected one
exit 2

# missing and damaged files
$ dsmoe tokenizer train --vocab-size 300 --out x missing.txt
2> dsmoe tokenizer: missing.txt: cannot open: No such file or directory
exit 1

$ printf '{"text": 1}\n' > bad.jsonl && dsmoe tokenizer train --vocab-size 300 --out x bad.jsonl
2> dsmoe tokenizer: bad.jsonl:1: key "text" does not hold a string
exit 1

$ dsmoe tokenizer info missing
2> dsmoe tokenizer: missing{*}: cannot open: No such file or directory
exit 1

$ mkdir cut && head -c 300 tok/tokenizer.json > cut/tokenizer.json && dsmoe tokenizer encode cut hello
2> dsmoe tokenizer: cut/tokenizer.json: line {*}
exit 1

$ mkdir odd && echo '{"model": {"type": "Unigram"}}' > odd/tokenizer.json && dsmoe tokenizer info odd
2> dsmoe tokenizer: odd/tokenizer.json: {*}Unigram{*}
exit 1

# nothing was made by what failed
$ test ! -e x

$ dsmoe tokenizer encode tok hello > /dev/full
2> dsmoe tokenizer: cannot write to standard output: No space left on device
exit 1
