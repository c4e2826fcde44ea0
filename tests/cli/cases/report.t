# dsmoe report: wrong usage, things that are no runs, damaged files, and a page of two tiny runs.

# --- wrong usage ---
$ dsmoe report --out r.html
2> dsmoe report: expected run directories or an experiment's folder
exit 2

$ dsmoe report runs/a
2> dsmoe report: nothing to write: expected --out FILE.html, --csv or --markdown
exit 2

$ dsmoe report runs/a --ot r.html
2> dsmoe report: unknown flag --ot; did you mean --out?
exit 2

# --- nothing to report on ---
$ dsmoe report nowhere --out r.html
2> dsmoe: warning: nowhere: no such file or folder
2> dsmoe report: nowhere: no such file or folder
exit 1

$ mkdir empty; dsmoe report empty --out r.html
2> dsmoe: warning: empty: found neither runs.db nor results/NAME.json, expected {*}
2> dsmoe report: empty: found neither runs.db nor results/NAME.json, expected {*}
exit 1

$ mkdir -p root/results; dsmoe report root --out r.html
2> dsmoe: warning: root/results: found no NAME.json, expected the results of experiments
2> dsmoe report: root/results: found no NAME.json, expected the results of experiments
exit 1

$ echo '{"experiment": "table1", "runs": [{"label": "x"}]}' > root/results/table1.json
$ dsmoe report root --out r.html
2> dsmoe: warning: root/results/table1.json: runs[0]: name is missing
2> dsmoe report: root/results/table1.json: runs[0]: name is missing
exit 1

$ mkdir bad; echo 'no database, though longer than a header would have to be' > bad/runs.db
$ dsmoe report bad --out r.html
2> dsmoe: warning: bad/runs.db: file is not a database
2> dsmoe report: bad/runs.db: file is not a database
exit 1

# Nothing was written.
$ ls r.html
2> ls: {*}
exit 2

# --- two runs ---
$ for i in 1 2 3 4 5 6 7 8; do for w in one two three four five six seven; do
$ echo "line $i says $w and then $w again to number $i"; done; done > text.txt
$ dsmoe tokenizer train --vocab-size 300 --out tok text.txt --quiet > log && \
$ dsmoe data prepare --tokenizer tok --out data/train text.txt --quiet > log && \
$ cat > m.json <<TXT
$ {"model_type": "deepseek", "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48,
$  "moe_intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
$  "num_key_value_heads": 2, "n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2,
$  "first_k_dense_replace": 1, "moe_layer_freq": 1, "max_position_embeddings": 64}
$ TXT
$ cat > r.yaml <<TXT
$ model: m.json
$ data: {train: data/train, valid: data/train, seq_len: 16}
$ batch: {sequences: 4, micro: 4}
$ steps: 12
$ log: {every: 2}
$ eval: {every: 4, sequences: 4}
$ TXT
$ for s in 1 2; do dsmoe train r.yaml --quiet --set run=runs/s$s --set seed=$s > log || exit 1; done

# Without gnuplot: the tables and a clear word, on the page and here. The last row of the loads is of
# layer 1, for layer 0 is dense.
$ d=$(command -v dsmoe); PATH=/nowhere $d report runs/s1 --out r.html
2> dsmoe: warning: gnuplot: cannot start: No such file or directory; the page has tables and no plots (install gnuplot)
1> 1 run, 0 plots: r.html

$ grep -c 'gnuplot was not found when this page was made' r.html
1> {*}

# One broken run is named and does not sink the others; --csv in a folder, --markdown.
$ PATH=/nowhere $(command -v dsmoe) report runs/s1 bad runs/s2 --csv csv --markdown r.md
2> dsmoe: warning: bad/runs.db: file is not a database
1> 3 runs, 0 plots, 1 could not be read: csv, r.md

$ ls csv; head -n 1 csv/curves.csv; cut -d, -f1-4 csv/curves.csv | sort | uniq -c | sed 's/^ *//'
1> curves.csv
1> loads.csv
1> summary.csv
1> experiment,run,seed,metric,x,value,paper
1> 1 experiment,run,seed,metric
1> 7 runs,s1,0,batch_max_vio
1> 7 runs,s1,0,train_loss
1> 3 runs,s1,0,valid_loss
1> 7 runs,s2,0,batch_max_vio
1> 7 runs,s2,0,train_loss
1> 3 runs,s2,0,valid_loss

$ tail -n 1 csv/loads.csv
1> runs,s2,0,load.1.3,12,{*},

$ grep -c '^| s[12] |' r.md
1> 2

# An output that cannot be written.
$ dsmoe report runs/s1 --csv nowhere/x/r.csv
2> dsmoe report: nowhere/x/r.csv{*}
exit 1
