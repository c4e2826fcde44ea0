# dsmoe data: wrong usage and missing things, before any work.
$ dsmoe data
2> dsmoe data: found nothing, expected prepare or info; see dsmoe help data
exit 2

$ dsmoe data prepaer
2> dsmoe data: found prepaer, expected prepare or info; see dsmoe help data
exit 2

$ dsmoe data prepare in.txt
2> dsmoe data: --tokenizer DIR is missing
exit 2

$ dsmoe data prepare --tokenizer tok in.txt
2> dsmoe data: --out DIR is missing
exit 2

$ dsmoe data prepare --tokenizer tok --out out
2> dsmoe data: no input is named
exit 2

$ dsmoe data prepare --tokenizer tok --out out --valid-frction 0.1 in.txt
2> dsmoe data: unknown flag --valid-frction; did you mean --valid-fraction?
exit 2

$ dsmoe data prepare --tokenizer tok --out out --shard-tokens 0 in.txt
2> dsmoe data: --shard-tokens: found 0, expected 1 to 1e+15
exit 2

$ dsmoe data prepare --tokenizer tok --out out in.txt
2> dsmoe data: tok{*}: cannot open: No such file or directory
exit 1

$ dsmoe data info
2> dsmoe data: info: found 0 folders, expected one
exit 2

$ dsmoe data info nowhere
2> dsmoe data: nowhere/data.json: cannot open: No such file or directory
exit 1

$ mkdir d && echo '{"format": "other"}' > d/data.json && dsmoe data info d
2> dsmoe data: d/data.json: format: found "other", expected "dsmoe-data"
exit 1

$ echo 'not json' > d/data.json && dsmoe data info d --json
2> dsmoe data: d/data.json: line 1, column {*}
exit 1
