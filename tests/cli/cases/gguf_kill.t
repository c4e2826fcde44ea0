# dsmoe convert to and from GGUF, killed at many moments: what it makes is whole or not there, and the next run makes it.
$ cat > config.json << 'END'
$ {"model_type": "llama", "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 1024,
$  "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": 64}
$ END
$ dsmoe init config.json --out m --quiet > made
$ dsmoe convert m whole.gguf --dtype q4_k --quiet > made

$ for i in $(seq 12); do
$   rm -rf out.gguf out
$   dsmoe convert m out.gguf --dtype q4_k --quiet > /dev/null 2>&1 &
$   pid=$!
$   sleep 0.$((i % 3))$((i % 10))
$   kill -9 $pid 2> /dev/null
$   wait $pid 2> /dev/null
$   if [ -e out.gguf ]; then cmp out.gguf whole.gguf || exit 1; fi
$   dsmoe convert whole.gguf out --dtype f32 --quiet > /dev/null 2>&1 &
$   pid=$!
$   sleep 0.0$((i % 10))
$   kill -9 $pid 2> /dev/null
$   wait $pid 2> /dev/null
$   if [ -e out ]; then dsmoe info out > /dev/null || exit 1; fi
$ done
$ rm -rf out.gguf out
$ dsmoe convert m out.gguf --dtype q4_k --quiet > made && cmp out.gguf whole.gguf
$ dsmoe convert out.gguf out --quiet > made
$ ls -d *.tmp
2> ls: cannot access '*.tmp': No such file or directory
exit 2

# Asked to stop, it cleans up itself, whenever that is.
$ for i in 0 1 2 3 4 5; do
$   rm -f out.gguf
$   dsmoe convert m out.gguf --dtype q4_k --quiet > /dev/null 2>&1 &
$   pid=$!
$   sleep 0.0$((2 * i))
$   kill -TERM $pid 2> /dev/null
$   wait $pid 2> /dev/null
$   if [ -e out.gguf ]; then cmp out.gguf whole.gguf || exit 1; fi
$   ls | grep tmp
$ done
$ true

# Folders, made and converted to, in shards: what a kill leaves is no model to anybody, and the next run removes it.
$ dsmoe convert m whole --shard-mb 4 --quiet > made
$ for i in $(seq 16); do
$   rm -rf out
$   case $((i % 2)) in
$   0) dsmoe convert m out --shard-mb 4 --quiet > /dev/null 2>&1 & ;;
$   1) dsmoe init config.json --out out --quiet > /dev/null 2>&1 & ;;
$   esac
$   pid=$!
$   sleep 0.0$((i % 10))
$   kill -9 $pid 2> /dev/null
$   wait $pid 2> /dev/null
$   if [ -e out ]; then dsmoe info out > /dev/null || exit 1; fi
$   for left in out.*.tmp; do
$     [ ! -e $left ] || [ -e $left/config.json ] || ! dsmoe info $left > /dev/null 2>&1 || exit 1
$   done
$ done
$ rm -rf out
$ dsmoe convert m out/ --shard-mb 4 --quiet > made
$ for file in $(ls whole); do cmp whole/$file out/$file || exit 1; done
$ ls -d *.tmp
2> ls: cannot access '*.tmp': No such file or directory
exit 2

# Asked to stop, a folder goes as well.
$ for i in 0 1 2 3 4 5; do
$   rm -rf out
$   dsmoe convert m out --dtype bf16 --quiet > /dev/null 2>&1 &
$   pid=$!
$   sleep 0.0$i
$   kill -TERM $pid 2> /dev/null
$   wait $pid 2> /dev/null
$   if [ -e out ]; then dsmoe info out > /dev/null || exit 1; fi
$   ls | grep tmp
$ done
$ true
