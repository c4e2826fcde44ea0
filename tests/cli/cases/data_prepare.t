# dsmoe data prepare: every kind of input, and what stands on the disk after a failure.
$ for i in $(seq 300); do echo "{\"text\": \"document $i says the same as the others, 文字\"}"; done > in.jsonl
$ dsmoe tokenizer train --quiet --vocab-size 300 --out tok in.jsonl > /dev/null

$ dsmoe data prepare --quiet --tokenizer tok --out out --valid-fraction 0.1 in.jsonl
1> train    2{*} documents, {*} tokens, {*} bytes of text ({*} bytes per token), 1 shard
1> valid    {*} documents, {*} tokens, {*} bytes of text ({*} bytes per token), 1 shard
1> written to out

$ dsmoe data info out --check
1> train    2{*}
1> valid    {*}
1> every checksum fits

$ dsmoe data info out/valid --json
1> {"data":{"documents":{*},"tokens":{*},"bytes":{*},"shards":1,"vocab_size":300,"tokenizer_fingerprint":"{*}"}}

$ ls out/train
1> data.json
1> shard-00000.bin
1> special_tokens_map.json
1> tokenizer.json
1> tokenizer_config.json

# compressed input, folders, any number of threads: the same shards
$ mkdir folder && gzip -c in.jsonl > folder/a.jsonl.gz && touch folder/notes.xyz
$ dsmoe data prepare --quiet --threads 1 --tokenizer tok --out one in.jsonl > /dev/null
$ dsmoe data prepare --quiet --threads 3 --tokenizer tok --out three folder > /dev/null
$ cmp one/shard-00000.bin three/shard-00000.bin
2> dsmoe: warning: 1 files with unknown endings are passed over; name them to read them

# repaired and skipped input is counted
$ printf '{"text": "ok"}\n{"text": "\377"}\n{broken\n{"text": ""}\n' > odd.jsonl
$ dsmoe data prepare --quiet --tokenizer tok --out odd --skip-bad-lines odd.jsonl
1> data     2 documents, {*}
1> 1 documents had invalid UTF-8, replaced by U+FFFD
1> 1 empty documents passed over
1> 1 bad lines passed over
1> written to odd

$ dsmoe data prepare --quiet --json --tokenizer tok --out odd2 --skip-bad-lines odd.jsonl
1> {"out":"odd2","train":{{*}},"repaired":1,"empty":1,"bad_lines":1}

# a name that is taken is refused and left alone
$ ls -lR out > before
$ dsmoe data prepare --tokenizer tok --out out in.jsonl
2> dsmoe data: out: exists already; choose another name or remove it
exit 2

$ ls -lR out | cmp - before

# bad input: file, line, found, expected; nothing appears
$ dsmoe data prepare --tokenizer tok --out bad odd.jsonl
2> dsmoe data: odd.jsonl:3: column {*}: not JSON: {*}
exit 1

$ dsmoe data prepare --tokenizer tok --out bad --text-field content in.jsonl
2> dsmoe data: in.jsonl:1: no key "content"; found "text"
exit 1

$ head -c 500 folder/a.jsonl.gz > cut.jsonl.gz; dsmoe data prepare --tokenizer tok --out bad cut.jsonl.gz
2> dsmoe data: line {*}: cut.jsonl.gz: truncated gzip data: it ends after 500 bytes
exit 1

$ cp in.jsonl plain.jsonl.zst; dsmoe data prepare --tokenizer tok --out bad plain.jsonl.zst
2> dsmoe data: {*}plain.jsonl.zst: damaged zstd data near byte {*}
exit 1

$ : > empty.txt; dsmoe data prepare --tokenizer tok --out bad empty.txt
2> dsmoe data: the corpus is empty: no document in the inputs (1 empty, 0 bad lines)
exit 1

$ echo text > one.txt; dsmoe data prepare --tokenizer tok --out bad --valid-fraction 0.5 one.txt
2> dsmoe data: valid fraction 0.5 leaves the {*} part of 1 documents empty; change it, or cut plain text with --split-blank-lines
exit 1

$ dsmoe data prepare --tokenizer tok --out bad --valid-fraction 1.5 in.jsonl
2> dsmoe data: valid fraction: found 1.5, expected 0 to below 1
exit 2

$ dsmoe data prepare --tokenizer tok --out bad x.parquet in.jsonl
2> dsmoe data: x.parquet: cannot open: No such file or directory
exit 1

$ dsmoe data prepare --tokenizer tok --out in.jsonl/bad in.jsonl
2> dsmoe data: in.jsonl/bad.partial: cannot create folder: Not a directory
exit 1

$ dsmoe data prepare --tokenizer missing --out bad in.jsonl
2> dsmoe data: missing{*}: cannot open: No such file or directory
exit 1

$ dsmoe tokenizer train --quiet --no-default-special --vocab-size 300 --out noeos in.jsonl > /dev/null
$ dsmoe data prepare --tokenizer noeos --out bad in.jsonl
2> dsmoe data: the tokenizer names no EOS token to end documents with; give it one, or prepare without EOS
exit 2

# a file that may not grow stands for a full disk
$ (ulimit -f 4; dsmoe data prepare --tokenizer tok --out bad in.jsonl)
2> dsmoe data: bad.partial/data/{*}: cannot write: File too large
exit 1

$ ls -d bad bad.partial
2> ls: cannot access 'bad': No such file or directory
2> ls: cannot access 'bad.partial': No such file or directory
exit 2

# a set that was damaged later
$ cp -r one hurt && truncate -s -1 hurt/shard-00000.bin && dsmoe data info hurt
2> dsmoe data: hurt/shard-00000.bin: truncated: {*} bytes cannot hold {*} tokens and 300 documents
exit 1

$ rm -r hurt && cp -r one hurt && printf x | dd of=hurt/shard-00000.bin bs=1 seek=2000 conv=notrunc 2> dd.log
$ dsmoe data info hurt --check
2> dsmoe data: hurt/shard-00000.bin: damaged: its checksum does not fit
exit 1
