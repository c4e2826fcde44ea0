# The entry: help, version, wrong verbs and options, output that cannot be written.
$ dsmoe --help
1> dsmoe: train and run DeepSeekMoE-family language models
1> ...
1> verbs
1> ...
1>   data         {*}
1> ...
1>   --threads N {*}
1> ...

$ dsmoe help
1> dsmoe: train and run DeepSeekMoE-family language models
1> ...

$ dsmoe --version
1> dsmoe {*}.{*} (commit {*}, {*})

$ dsmoe help data | head -1
1> usage: dsmoe data prepare --tokenizer DIR --out DIR [OPTIONS] INPUT...

$ dsmoe data info --help | head -1
1> usage: dsmoe data prepare --tokenizer DIR --out DIR [OPTIONS] INPUT...

$ dsmoe
2> dsmoe: a verb is missing; see dsmoe --help
exit 2

$ dsmoe dta info x
2> dsmoe: unknown verb "dta"; did you mean data?
exit 2

$ dsmoe frobnicate
2> dsmoe: unknown verb "frobnicate"; see dsmoe --help
exit 2

$ dsmoe help dat
2> dsmoe: unknown verb "dat"; did you mean data?
exit 2

# options of every verb, anywhere on the line
$ dsmoe data info x --threads many
2> dsmoe: --threads: found "many", expected an integer
exit 2

$ dsmoe --threads=-1 data info x
2> dsmoe: --threads: found -1, expected 0 to 4096
exit 2

$ dsmoe data info x --seed
2> dsmoe: --seed: a value is missing
exit 2

$ dsmoe data info x --set steps
2> dsmoe: --set: found "steps", expected key=value
exit 2

$ dsmoe data info x --json=yes
2> dsmoe: --json takes no value
exit 2

$ dsmoe data info x --cpu-mask pentium
2> dsmoe: {*}pentium{*}
exit 2

$ DSM_CPU_MASK=pentium dsmoe data info x
2> dsmoe: {*}pentium{*}
exit 2

$ DSM_CPU_MASK=none dsmoe --version
1> dsmoe {*}

# output that cannot be written is an error; a reader that has gone is not
$ dsmoe --help > /dev/full
2> dsmoe: cannot write to standard output: No space left on device
exit 1

$ dsmoe --help | true

$ dsmoe data info x --set steps=3
2> dsmoe data: --set steps=3: this verb reads no recipe
exit 2
