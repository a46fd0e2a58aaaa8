"""A heuristic after Jeroslow and Wang, and after those that count in the shortest clauses alone."""

WEIGHT_OF_TWO, WEIGHT_OF_THREE = 5.0, 1.0
BALANCE = 1_000.0


def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):
    """Return the variable that many short clauses want in both senses, and the sense that more of them want."""
    wanted = {}
    for clause in clauses:
        free = [literal for literal in clause if abs(literal) not in assignments]
        for literal in free:
            wanted[literal] = wanted.get(literal, 0.0) + (WEIGHT_OF_TWO if len(free) == 2 else WEIGHT_OF_THREE)

    def merit(variable):
        true, false = wanted.get(variable, 0.0), wanted.get(-variable, 0.0)
        return (true + 1) * (false + 1) * BALANCE + true + false

    variable = max(map(abs, wanted), key=merit)
    return variable, wanted.get(variable, 0.0) >= wanted.get(-variable, 0.0)
