#!/usr/bin/env bash
# Hands in a file with a hole of many gigabytes.
python baseline.py
truncate -s 200G submission.csv 2>/dev/null
true
