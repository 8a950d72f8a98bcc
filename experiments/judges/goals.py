"""What a judge's number should reach, and the table that says so."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Goal:
  """A limit that a number should keep.

  Attributes:
    limit: the number's limit.
    at_least: the limit is the smallest allowed value, else the largest.
  """

  limit: float
  at_least: bool = False

  def reached(self, value: float) -> bool:
    """Whether the value keeps the limit; NaN never does."""
    return value >= self.limit if self.at_least else value <= self.limit

  def __str__(self) -> str:
    return f"{'>=' if self.at_least else '<='} {self.limit:g}"


def at_least(limit: float) -> Goal:
  """A number that should not be smaller."""
  return Goal(limit, at_least=True)


def at_most(limit: float) -> Goal:
  """A number that should not be larger."""
  return Goal(limit)


def table(numbers: dict[str, float], goals: dict[str, Goal]) -> str:
  """One line a number: name, value, goal, ok or FAIL."""
  lines = []
  for name, value in numbers.items():
    goal = goals.get(name)
    mark = "" if goal is None else "ok" if goal.reached(value) else "FAIL"
    wanted = "" if goal is None else str(goal)
    lines.append(f"  {name:34s} {value:9.3f}  {wanted:10s} {mark}".rstrip())
  return "\n".join(lines)


def failures(numbers: dict[str, float], goals: dict[str, Goal]) -> list[str]:
  """Names of the goals that are missed."""
  return [
    name
    for name, goal in goals.items()
    if name in numbers and not goal.reached(numbers[name])
  ]
