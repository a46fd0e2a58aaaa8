"""The heuristic that is scored: it says on which variable a solver for 3-SAT should branch next."""

import random


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    """Return the variable to branch on and the value to try first.

    clauses: the clauses not yet satisfied, each a list of three signed numbers; -3 stands for "variable 3 is false".
    assignments: the variables that have a value, as {variable: bool}.
    conflict_count: for every variable, how often propagating it led to a contradiction, as {variable: int}.
    assignment_history: the variables that have a value, in the order in which they got it.
    level: for each branching in force a list, the variable branched on and then those that followed from it.
    """
    random.seed(10)
    unassigned = sorted({abs(literal) for clause in clauses for literal in clause} - set(assignments))
    return random.choice(unassigned), True
