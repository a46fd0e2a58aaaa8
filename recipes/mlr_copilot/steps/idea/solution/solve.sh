# An idea of the form that is asked for.
printf 'Hypothesis: an equal share on each field is hard to beat.\nPlan: leave strategy.py as it is.\n' > idea.md
