# GGUF files: made, converted both ways, run; what exists is never overwritten, what is stopped leaves nothing.
$ sed 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/softmax/config.json > config.json
$ printf 'the cat and the dog and the hen' > text.txt
$ dsmoe tokenizer train --vocab-size 280 --pretokenizer deepseek-llm --out tok text.txt --quiet > tok.out
$ dsmoe init config.json --out m --tokenizer tok --seed 3 > made

# Folder to file and file to folder are the same values, and the file made directly is the file converted to.
$ dsmoe convert m m.gguf
1> m.gguf: {*} kB of f32 in 1 file
$ dsmoe init config.json --out direct.gguf --tokenizer tok --seed 3 --quiet > made
$ cmp m.gguf direct.gguf
$ dsmoe convert m.gguf back > made
$ cmp m/model.safetensors back/model.safetensors
$ dsmoe tokenizer encode m "the cat and the 42 dogs" > a.ids
$ dsmoe tokenizer encode m.gguf "the cat and the 42 dogs" > b.ids
$ dsmoe tokenizer encode back "the cat and the 42 dogs" > c.ids
$ cmp a.ids b.ids && cmp a.ids c.ids

# MODEL may be the file everywhere.
$ dsmoe generate m --prompt "the cat" --max-tokens 8 --temperature 0 --quiet > a.text
$ dsmoe generate m.gguf --prompt "the cat" --max-tokens 8 --temperature 0 --quiet > b.text
$ cmp a.text b.text
$ dsmoe eval m --text text.txt --json --quiet | sed 's/"seconds[^,]*,//; s/"[a-z_]*per_s[^,}]*//g' | grep -o '"loss":[^,]*' > a.loss
$ dsmoe eval m.gguf --text text.txt --json --quiet | grep -o '"loss":[^,]*' > b.loss
$ cmp a.loss b.loss
$ dsmoe info m.gguf | head -1
1> model          m.gguf

# Quantised; a folder cannot hold that, and takes bf16 instead.
$ dsmoe convert m m-q8.gguf --dtype q8_0
1> m-q8.gguf: {*} kB of {*} in 1 file
$ dsmoe convert m-q8.gguf dequantised
1> dequantised: {*} kB of {*} in 1 file
$ dsmoe convert m quantised --dtype q8_0
2> dsmoe convert: quantised: dtype: found q8_0, a folder of safetensors holds f32, bf16 or f16 (name a .gguf file for quantised weights)
exit 2

# What exists stays as it is, and so does a source.
$ cp m.gguf copy.gguf
$ dsmoe convert m m.gguf
2> dsmoe convert: m.gguf: exists already and is not overwritten; name a new file
exit 2
$ dsmoe init config.json --out m.gguf
2> dsmoe init: m.gguf: exists already and is not overwritten; name a new file
exit 2
$ cmp m.gguf copy.gguf

# No file may grow beyond 4 KiB: as on a full disk, nothing is left.
$ (trap '' XFSZ; ulimit -f 8; dsmoe convert m full.gguf); status=$?; ls | grep full; exit $status
2> dsmoe convert: full.gguf: cannot write: File too large
exit 1

$ (trap '' XFSZ; ulimit -f 8; dsmoe convert m-q8.gguf full); status=$?; ls | grep full; exit $status
2> dsmoe convert: full.{*}.tmp/{*}: cannot write: File too large
exit 1

# Every id that ends a text goes along: to a file as ends of a text, a turn and a message, and back as a list.
$ cp -r m ends && sed -i 's/"eos_token_id": *[0-9]*/"eos_token_id": [1, 7, 9]/' ends/generation_config.json
$ dsmoe convert ends ends.gguf --quiet > made && dsmoe convert ends.gguf ends-back --quiet > made
$ tr -d ' \n' < ends-back/generation_config.json
1> {"_from_model_config":true,"bos_token_id":0,"eos_token_id":[1,7,9],"pad_token_id":{*}}

# Leftovers of a process that is gone are removed, those of one that runs are not.
$ sh -c 'echo $$ > gone'; touch k.gguf.$(cat gone).tmp k.gguf.$$.tmp k.gguf.x.tmp; dsmoe convert m k.gguf --quiet > made; ls | grep k.gguf | sed "s/$$/RUNNING/"
1> k.gguf
1> k.gguf.RUNNING.tmp
1> k.gguf.x.tmp

# Damaged, and something else.
$ head -c 3000 m.gguf > cut.gguf
$ dsmoe info cut.gguf
2> dsmoe info: cut.gguf: {*} cut off{*}
exit 1
$ echo hello > hello.gguf
$ dsmoe generate hello.gguf --prompt a
2> dsmoe generate: hello.gguf: does not begin with "GGUF"
exit 1

# A weight that is no number is found by name.
$ dsmoe info m.gguf --check | tail -1
1> checked        every weight is finite
$ cp m.gguf nan.gguf; printf '\0\0\300\177' | dd of=nan.gguf bs=1 seek=$(($(stat -c %s m.gguf) - 64)) conv=notrunc 2> dd.out
$ dsmoe info nan.gguf --check | tail -1
1> not finite     lm_head.weight: 1 NaN, 0 infinite
2> dsmoe info: nan.gguf: 1 tensors with weights that are not finite
exit 0
$ dsmoe info nan.gguf --check --json > nan.json
2> dsmoe info: nan.gguf: 1 tensors with weights that are not finite
exit 1
$ grep -o '"not_finite".*' nan.json
1> "not_finite":[{"tensor":"lm_head.weight","nan":1,"infinite":0}]}
$ dsmoe info --check
2> dsmoe info: --check needs a MODEL
exit 2
