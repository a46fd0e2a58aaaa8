"""How 120 soldiers are shared out over six fields."""


def allocation():
    return (20, 20, 20, 20, 20, 20)
