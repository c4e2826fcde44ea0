# dsmoe experiment: definitions of one's own, resumable runs, results and verdicts.
$ dsmoe experiment
2> dsmoe experiment: found 0 names, expected 1 to 32 (or list)
exit 2

$ dsmoe experiment duel --configs nowhere
2> dsmoe experiment: nowhere/experiments: {*}
exit 1

# --- every experiment of the papers is whole at every size ---
$ dsmoe experiment list --configs $SOURCE/configs | grep -c '^[a-z]'
1> 11

$ python3 $SOURCE/tools/make_mini.py --check

$ mkdir -p data/train data/valid && touch data/train/data.json data/valid/data.json
$ for size in smoke hour night; do for e in $(dsmoe experiment list --configs $SOURCE/configs | sed -n 's/^\([a-z0-9]*\) .*/\1/p'); do
$   dsmoe experiment $e --size $size --dry-run --data data --configs $SOURCE/configs >> plan.txt || echo $e; done; done; grep -vc ' to do$' plan.txt
1> 0
exit 1

$ dsmoe experiment tabel1 --configs $SOURCE/configs
2> dsmoe experiment: no experiment "tabel1"; did you mean table1 (dsmoe experiment list shows all)
exit 2

$ dsmoe experiment table1 --size evening --data data --configs $SOURCE/configs
2> dsmoe experiment: run dense: evening: no such size; found no {*}/configs/mini/evening.yaml
exit 2

$ dsmoe experiment table1 --data nowhere --configs $SOURCE/configs
2> dsmoe experiment: nowhere: found no train/data.json; make prepared data with scripts/experiments.sh --data-only, or name another folder with --data
exit 1

# --- one's own ---
$ rm -rf data && python3 -c "
$ import random
$ random.seed(1)
$ words = ['the', 'cat', 'sat', 'on', 'a', 'mat', 'and', 'saw', 'two', 'dogs']
$ print('\n\n'.join(' '.join(random.choices(words, k=40)) for _ in range(300)))" > text.txt
$ dsmoe tokenizer train --vocab-size 300 --out tok --quiet text.txt
$ dsmoe data prepare --tokenizer tok --out data --valid-fraction 0.1 --split-blank-lines --quiet text.txt
1> ...

$ mkdir -p configs/experiments configs/mini/tiny
$ cat > configs/mini/tiny.yaml <<TXT
$ model: x
$ data: {train: x, seq_len: 16}
$ batch: {sequences: 8, micro: 8}
$ steps: 40
$ schedule: {warmup: 4}
$ eval: {every: 20, sequences: 1000}
$ checkpoint: {every: 10, keep: 1}
$ log: {every: 5}
$ TXT
$ cat > configs/mini/tiny/moe.json <<TXT
$ {"model_type": "deepseek", "vocab_size": 300, "hidden_size": 16, "intermediate_size": 32,
$  "moe_intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
$  "num_key_value_heads": 1, "n_shared_experts": 1, "n_routed_experts": 8, "num_experts_per_tok": 2,
$  "first_k_dense_replace": 0, "max_position_embeddings": 16}
$ TXT
$ sed 's/"vocab_size": 300/"vocab_size": 100/' configs/mini/tiny/moe.json > configs/mini/tiny/narrow.json
$ cat > configs/experiments/duel.yaml <<TXT
$ title: A duel
$ source: nobody
$ runs:
$   - {name: slow, model: moe, set: {optimizer.peak_lr: 1.0e-5}, paper: 5}
$   - {name: fast, model: moe, set: {optimizer.peak_lr: 1.0e-2}, paper: 2}
$ claims:
$   - {text: Fast learns more, less: [fast, slow]}
$   - {text: Slow learns more, less: [slow, fast]}
$ TXT
$ dsmoe experiment duel --size tiny --data data --out r --dry-run
1> slow-s1                  train        to do
1> fast-s1                  train        to do

$ dsmoe experiment duel --size tiny --data data --out r --seeds 2
1> 
1> A duel
1> 
1> run {*}
1> slow {*} ± {*} 5
1> fast {*} ± {*} 2
1> 
1> holds                        Fast learns more
1> {*} ± {*} against {*} ± {*}
1> does not hold at this scale  Slow learns more
1> {*}
2> ...

# What is done is not done again; its results stay.
$ cp r/results/duel.json first.json
$ dsmoe experiment duel --size tiny --data data --out r --seeds 2 --quiet > again.txt
$ python3 -c "
$ import json
$ a, b = json.load(open('first.json')), json.load(open('r/results/duel.json'))
$ print([[s['state'] for s in r['seeds']] for r in b['runs']], a['runs'] == b['runs'], a['claims'] == b['claims'])
$ print([c['verdict'] for c in b['claims']])"
1> [['done', 'done'], ['done', 'done']] True True
1> ['holds', 'does not hold at this scale']

# Seeds that were trained some other time count too.
$ dsmoe experiment duel --size tiny --data data --out r --quiet --json | python3 -c "
$ import json, sys
$ o = json.load(sys.stdin)
$ print([[s['state'] for s in r['seeds']] for r in o['runs']], [c['verdict'] for c in o['claims']])"
1> [['done', 'done'], ['done', 'done']] ['holds', 'does not hold at this scale']

# --- kill -9 in the middle of everything changes no number ---
$ sed -i 's/^steps: 40/steps: 400/' configs/mini/tiny.yaml
$ dsmoe experiment duel --size tiny --data data --out whole --quiet --json > whole.json
$ for i in 1 2 3; do setsid sh -c 'dsmoe experiment duel --size tiny --data data --out torn --quiet > /dev/null 2>&1' & sleep 0.4; pkill -9 -s $! || true; wait; done; sleep 0.3
$ dsmoe experiment duel --size tiny --data data --out torn --quiet --json > torn.json
$ python3 -c "
$ import json
$ a, b = json.load(open('whole.json')), json.load(open('torn.json'))
$ print([[x['loss'] == y['loss'] for x, y in zip(p['seeds'], q['seeds'])] for p, q in zip(a['runs'], b['runs'])])"
1> [[True], [True]]

# --- a run of another recipe is not taken for this one ---
$ dsmoe experiment duel --size tiny --data data --out r --seeds 1
2> dsmoe experiment: r holds runs that cannot be used: slow-s1 (found steps: 40, expected steps: 400), fast-s1 (found steps: 40, expected steps: 400); --restart sets them aside and trains them anew
exit 2

$ dsmoe experiment duel --size tiny --data data --out r --quiet --restart > /dev/null && ls r/runs
1> fast-s1
1> fast-s1.old
1> fast-s2
1> slow-s1
1> slow-s1.old
1> slow-s2

$ sed -i 's/"num_experts_per_tok": 2/"num_experts_per_tok": 3/' configs/mini/tiny/moe.json
$ dsmoe experiment duel --size tiny --data data --out r --dry-run
1> slow-s1                  train        cannot be used
1> fast-s1                  train        cannot be used

# --- neither is a damaged one ---
$ sed -i 's/"num_experts_per_tok": 3/"num_experts_per_tok": 2/' configs/mini/tiny/moe.json
$ printf 'no database, and long enough to be told from a new one' > r/runs/slow-s1/runs.db
$ dsmoe experiment duel --size tiny --data data --out r
2> dsmoe experiment: r holds runs that cannot be used: slow-s1 (r/runs/slow-s1/runs.db: {*}); --restart sets them aside and trains them anew
exit 2

# --- analyses of trained runs: at training's windows, experts by domain ---
$ mkdir -p data/domains && cp -r data/valid data/domains/left && cp -r data/valid data/domains/right
$ cat > configs/experiments/look.yaml <<TXT
$ title: A look
$ source: nobody
$ runs:
$   - {name: fast, model: moe, set: {optimizer.peak_lr: 1.0e-2}}
$ analyses:
$   - {run: fast, kind: active, at: [2, 3]}
$   - {run: fast, kind: experts}
$ claims:
$   - {text: All that were trained are as good, at_most: ["fast@active=3", fast], within: 0.000001}
$   - {text: Fewer are better, less: ["fast@active=2", fast]}
$ TXT
$ sed -i 's/"num_experts_per_tok": 2/"num_experts_per_tok": 3/; s/"max_position_embeddings": 16/"max_position_embeddings": 64/' configs/mini/tiny/moe.json
$ cat > configs/experiments/glance.yaml <<TXT
$ title: A glance at the same run
$ source: nobody
$ runs:
$   - {name: fast, model: moe, set: {optimizer.peak_lr: 1.0e-2}}
$ analyses:
$   - {run: fast, kind: active, at: [1, 3]}
$ TXT
$ dsmoe experiment look glance --size tiny --data data --out l --quiet --json > /dev/null
$ python3 -c "
$ import json
$ o = json.load(open('l/results/look.json'))
$ at = {p['x']: p['seeds'][0]['loss'] for p in o['analyses'][0]['points']}
$ print(o['claims'][0]['verdict'], sorted(at), abs(at[3] - o['runs'][0]['seeds'][0]['loss']) < 1e-6)
$ print([p['x'] for p in json.load(open('l/analyses/fast-s1.active.json'))['points']])
$ e = json.load(open('l/analyses/fast-s1.experts.json'))
$ print([d['name'] for d in e['domains']], len(e['layers'][0]['experts']), bool(e['layers'][0]['experts'][0]['top_tokens']))"
1> holds [2.0, 3.0] True
1> [2.0, 3.0, 1.0]
1> ['left', 'right'] 8 True

# a later call's points do not replace those of earlier ones
$ sed 's/at: \[1, 3\]/at: [4]/' configs/experiments/glance.yaml > configs/experiments/peek.yaml
$ dsmoe experiment peek --size tiny --data data --out l --quiet --json > /dev/null
$ dsmoe experiment glance look peek --size tiny --data data --out l --dry-run
1> fast-s1                  train        done
1> fast-s1                  active       done
1> fast-s1                  experts      done

# --- a run that fails does not sink the others ---
$ sed -i 's/model: moe, set: {optimizer.peak_lr: 1.0e-5}/model: narrow/' configs/experiments/duel.yaml
$ dsmoe experiment duel --size tiny --data data --out f
1> ...
1> not run                      Fast learns more
1> ...
2> ...
2> slow-s1                  train        failed: dsmoe train: data/train: a vocabulary of {*} tokens, {*} has room for 100
2> ...
2> dsmoe experiment: 1 of 2 jobs failed; their logs are in f/logs, the same command tries them again
exit 1

# --- definitions that are wrong say where ---
$ for bad in 'runs: [{name: a, model: m, claims: 1}]' 'runs: [{name: a b, model: m}]' 'runs: []' 'runs: [{name: a, model: m}, {name: a, model: m}]' 'runs: [{name: a, model: m}]
$ claims: [{text: t, less: [a, b]}]' 'runs: [{name: a, model: m}]
$ analyses: [{run: a, kind: mask, at: [1]}]' 'runs: &x [*x]'; do printf 'title: t\nsource: s\n%s\n' "$bad" > configs/experiments/bad.yaml; dsmoe experiment bad --size tiny --data data; done
2> dsmoe experiment: configs/experiments/bad.yaml: runs[0]: unknown key claims
2> dsmoe experiment: configs/experiments/bad.yaml: runs[0]: name: found "a b", expected a-z 0-9 - . only
2> dsmoe experiment: configs/experiments/bad.yaml: runs: found none, expected at least one
2> dsmoe experiment: configs/experiments/bad.yaml: runs[1]: found a second run "a"
2> dsmoe experiment: configs/experiments/bad.yaml: claims[0]: found run "b", expected one of its runs
2> dsmoe experiment: configs/experiments/bad.yaml: analyses[0]: found analysis "mask", expected mask_top, drop_shared, active or experts
2> dsmoe experiment: configs/experiments/bad.yaml:3: found an alias, expected the value itself
exit 1
