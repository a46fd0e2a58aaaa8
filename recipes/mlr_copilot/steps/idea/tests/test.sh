# Whether the idea is whole; it is not judged.
idea="$MLGYM_LITE_ROOT/submission/idea.md"
if [ "$(grep -c '^Hypothesis: .' "$idea")" -ge 1 ] && [ "$(grep -c '^Plan: .' "$idea")" -ge 1 ]; then
  printf '{"whole": 1}' > "$MLGYM_LITE_ROOT/logs/verifier/reward.json"
else
  echo "idea.md: expected a line 'Hypothesis: …' and a line 'Plan: …'" > "$MLGYM_LITE_ROOT/logs/verifier/rejection.txt"
  exit 65
fi
