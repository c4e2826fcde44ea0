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
