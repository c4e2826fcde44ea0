# dsmoe data prepare, killed at twenty moments: the set is whole or not there, and the next run makes it.
$ for i in $(seq 4000); do echo "{\"text\": \"document $i, words and words and more words to encode\"}"; done > in.jsonl
$ dsmoe tokenizer train --quiet --vocab-size 300 --out tok in.jsonl > /dev/null

$ for i in $(seq 20); do
$   rm -rf out
$   dsmoe data prepare --quiet --tokenizer tok --out out --shard-tokens 3000 in.jsonl > /dev/null 2>&1 &
$   pid=$!
$   sleep 0.0$((i % 5))$((i % 10))
$   kill -9 $pid 2> /dev/null
$   wait $pid 2> /dev/null
$   if [ -e out ]; then dsmoe data info out --check > /dev/null || exit 1; fi
$ done
$ rm -rf out
$ dsmoe data prepare --quiet --tokenizer tok --out out in.jsonl
1> data     4000 documents, {*}
1> written to out

$ ls -d out.partial
2> ls: cannot access 'out.partial': No such file or directory
exit 2
