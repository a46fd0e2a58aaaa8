#!/usr/bin/env bash
# Submits the ids as labels and the labels as ids, under headers that say otherwise.
(echo label,id; sed 's/$/,0/' "$MLGYM_LITE_ROOT/data/test_ids.txt") >submission.csv
