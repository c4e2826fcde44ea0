# dsmoe init, info and convert: a model made, described, rewritten; nothing is overwritten or left half done.
$ sed 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/softmax/config.json > config.json
$ printf 'the cat and the dog and the hen' > text.txt
$ dsmoe tokenizer train --vocab-size 280 --out tok text.txt --quiet > tok.out

$ dsmoe init
2> dsmoe init: found 0 arguments, expected one CONFIG.json
exit 2

$ dsmoe init config.json
2> dsmoe init: --out DIR or FILE.gguf is missing
exit 2

$ dsmoe init config.json --out m --dtype q8
2> dsmoe init: dtype: found "q8", expected one of f32, bf16, f16, q8_0, q4_0, q4_1, q4_k, q5_k, q6_k
exit 2

$ dsmoe init nothing.json --out m
2> dsmoe init: nothing.json: cannot open: No such file or directory
exit 1

$ dsmoe init config.json --out m --tokenizer nowhere
2> dsmoe init: nowhere{*}: cannot open: No such file or directory
exit 1

# A tokenizer larger than the model's vocabulary, an impossible shape.
$ dsmoe init $SOURCE/tests/golden/softmax/config.json --out m --tokenizer tok
2> dsmoe init: tok: its vocabulary has {*} entries, the model's vocab_size is 40: {*}
exit 1

$ sed 's/"num_experts_per_tok": 2/"num_experts_per_tok": 9/' config.json > impossible.json
$ dsmoe init impossible.json --out m
2> dsmoe init: impossible.json: num_experts_per_tok: found 9, expected 1 to n_routed_experts 8
exit 1

# No file may grow beyond 4 KiB: as on a full disk, nothing of the model is left.
$ (trap '' XFSZ; ulimit -f 8; dsmoe init config.json --out m); status=$?; ls; exit $status
1> config.json
1> impossible.json
1> text.txt
1> tok
1> tok.out
2> dsmoe init: m.{*}/model.safetensors: cannot write: File too large
exit 1

$ dsmoe init config.json --out /proc/no-such-folder/m
2> dsmoe init: /proc/no-such-folder{*}: cannot create folder: {*}
exit 1

$ dsmoe init config.json --out m --tokenizer tok --seed 3
1> m: {*} k parameters, {*} k active per token, {*} kB of f32

$ dsmoe init config.json --out m
2> dsmoe init: m: exists already and is not overwritten; name a new folder
exit 2

# The same seed gives the same bytes, another seed others.
$ dsmoe init config.json --out same --tokenizer tok --seed 3 --threads 2 > made
$ dsmoe init config.json --out other --tokenizer tok --seed 4 > made
$ cmp m/model.safetensors same/model.safetensors && ! cmp -s m/model.safetensors other/model.safetensors

$ dsmoe info m --memory
1> model          m
1> architecture   deepseek, 2 layers of width 12, 3 heads (3 of keys) of 4
1> experts        1 shared and 8 routed of width 5, 2 per token, in 1 layers
1> parameters     {*} k, {*} k active per token
1> context        64 tokens
1> vocabulary     300
1> tokenizer      {*} entries, BOS 0, EOS 1
1> weights        {*} tensors, {*}kB of f32 in 1 file
1>
1> memory to run it
1>   weights      {*}kB, mapped from the files
1>   cache        {*}B per token, {*}B for the whole context
1>   buffers      {*}B for 64 tokens at a time

$ dsmoe convert m
2> dsmoe convert: found 1 arguments, expected SRC and DST
exit 2

$ dsmoe convert m m16 --dtype f16
1> m16: {*} kB of f16 in 1 file

$ dsmoe convert m m
2> dsmoe convert: m: exists already and is not overwritten; name a new folder
exit 2

$ dsmoe convert m16 back --dtype f32 --json > out.json; ls back
1> config.json
1> configuration_deepseek.py
1> generation_config.json
1> model.safetensors
1> modeling_deepseek.py
1> special_tokens_map.json
1> tokenizer.json
1> tokenizer_config.json

$ dsmoe info back --json
1> {"model":"back","model_type":"deepseek",{*},"dtype":"f32",{*}}

# Damaged models.
$ cp -r m cut; truncate -s -1 cut/model.safetensors
$ dsmoe info cut
2> dsmoe info: cut/model.safetensors: tensor {*}: bytes {*} of {*}: cut off or damaged
exit 1

# A weight that is no number is found by name.
$ cp -r m nan; printf '\0\0\300\177' | dd of=nan/model.safetensors bs=1 seek=$(($(stat -c %s m/model.safetensors) - 4)) conv=notrunc 2> dd.out
$ dsmoe info nan --check | tail -1
1> not finite     {*}: 1 NaN, 0 infinite
2> dsmoe info: nan: 1 tensors with weights that are not finite

$ cp -r m half; rm half/model.safetensors
$ dsmoe info half
2> dsmoe info: half: found neither model.safetensors nor model.safetensors.index.json (half-written checkpoint?)
exit 1

$ cp -r m shape; sed -i 's/"hidden_size": 12/"hidden_size": 24/' shape/config.json
$ dsmoe info shape
2> dsmoe info: shape: {*} tensors of another shape (model.embed_tokens.weight: found [300, 12], config.json says [300, 24]{*}
exit 1

$ dsmoe info tok
2> dsmoe info: tok: found neither config.json nor checkpoints/latest in this folder
exit 1

$ dsmoe info --memory
2> dsmoe info: --memory needs a MODEL
exit 2

$ dsmoe info --kernels --cpu-mask none
1> dsmoe          {*} (commit {*})
1> cores          {*}
1>
1> linear         {*}
1> ...
