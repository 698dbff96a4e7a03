"""How figures are put: a spread instead of one number, and each target with what was measured."""

from dataclasses import dataclass
from statistics import median


@dataclass
class Spread:
    """The median of several measurements, with the least and the greatest."""
    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values):
        values = list(values)
        return cls(median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, above, below):
        """Of ratios taken round by round, so that what slows a whole round cancels out."""
        return cls.of(one / other for one, other in zip(above, below, strict=True))

    def text(self, form="{:.2f}"):
        return f"{form.format(self.middle)} ({form.format(self.least)}–{form.format(self.most)})"


@dataclass
class Target:
    name: str
    wanted: str
    measured: str
    met: bool


def show_table(rows):
    """Rows of texts; the first column is left-aligned, the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  " + row[0].ljust(widths[0]) + "".join("  " + text.rjust(width)
                                                       for text, width in zip(row[1:], widths[1:], strict=True)))


def show_targets(targets):
    print("\nTargets")
    show_table([("", "wanted", "measured", "")]
               + [(each.name, each.wanted, each.measured, "met" if each.met else "NOT MET") for each in targets])
