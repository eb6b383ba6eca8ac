"""A figure: what was measured, for Baton and for those whom it is compared with, and what was to be reached."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contenders import Contender


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often is measured."""

    rounds: int
    seconds: float
    connections: int
    rows: int


@dataclass(frozen=True, slots=True)
class Goal:
    """What Baton's figure divided by another contender's is to be: so much at least, or at most."""

    ratio: float
    at_most: bool = False

    def is_reached(self, ratio: float) -> bool:
        return ratio <= self.ratio if self.at_most else ratio >= self.ratio

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.ratio:g}"


@dataclass(frozen=True, slots=True)
class Samples:
    """One value for each round."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def ratio_to(self, other: "Samples") -> "Samples":
        """Return the ratio of each round, in which both were measured one after the other."""
        return Samples([mine / its for mine, its in zip(self.values, other.values, strict=True)])


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: samples by contender, Baton's first, and the goals by whom they are relative to."""

    title: str
    unit: str
    samples: Mapping[str, Samples]
    goals: Mapping[str, Goal]

    @property
    def baton(self) -> Samples:
        return next(iter(self.samples.values()))

    def ratios(self) -> Iterator[tuple[str, Samples, Goal]]:
        """Yield, for each goal, whom it is relative to, the ratio of each round, and the goal."""
        for title, goal in self.goals.items():
            yield title, self.baton.ratio_to(self.samples[title]), goal


def compare(plan: Plan, contenders: Sequence[Contender], measure: Callable[[Contender], float]) -> dict[str, Samples]:
    """Measure each contender in turn, round by round; a round before the first warms them up and does not count."""
    for contender in contenders:
        contender.get_ready()
    samples: dict[str, list[float]] = {contender.title: [] for contender in contenders}
    for number in range(plan.rounds + 1):
        for contender in contenders:
            value = measure(contender)
            if number:
                samples[contender.title].append(value)
    return {title: Samples(values) for title, values in samples.items()}
