"""Agents: who decides the next action."""
