#!/usr/bin/env bash
# All tables of the student reports, and their results into docs/seeds. Resumable: run it again.
#   studies/seeds/all.sh DATA OUT [SEEDS]
# DATA holds train_data.pkl and val_data.pkl, OUT keeps the runs. The lengths below are shares of the
# reports' own: what two CPU cores carry in two hours.
set -euo pipefail
data=$1 out=$2 seeds=${3:-3}
here=$(cd "$(dirname "$0")" && pwd)

study() { # NAME SCALE
  noisepair study "$here/$1.toml" --data "$data" --out "$out/$1" --scale "$2" --seeds "$seeds" --jobs 2 --quiet
  mkdir -p "$here/../../docs/seeds/$1"
  cp "$out/$1"/{tables.md,results.jsonl,*.svg,gallery.png} "$here/../../docs/seeds/$1/"
}

study 000_table_1 0.08
study 001_table_1 0.03
study 001_table_2 0.03
study 001_table_3 0.02
study 002_table_1 0.015
study 002_table_2 0.015
study 002_table_3 0.015
study 002_table_4 0.015
