"""Whether a tag that many entries carry is struck at the cost of one that a single entry carries."""

from .freshness import COLUMNS, change
from .replay import fastcgi, replay
from .report import Target, show_table

ENTRIES, QUICK_ENTRIES = 100_000, 2_000
FILLERS = 64  # connections
ROUNDS, SECONDS = 5, 2
RATE = 20  # writes a second: larderd lies down after each; at 50 it sleeps or not, as it did when a round began
SAME = 1.3


def fill(field, site, entries):
    """Has every answer of the big table kept; gives the number that are, by asking a sample again."""
    targets = [(0, f"/many/{number}") for number in range(1, entries + 1)]
    answers = replay(field, fastcgi(site), FILLERS, targets)
    assert all(each.status == 200 for each in answers)
    sample = replay(field, fastcgi(site), 1, targets[::max(1, entries // 500)])
    kept = sum(each.word == "hit" for each in sample) / len(sample)
    assert kept > 0.98, f"only {100 * kept:.0f} % of the answers were kept"


def struck(field, site, entries):
    """The share of a sample of the big table's other answers that the write has struck."""
    sample = replay(field, fastcgi(site), 1, [(0, f"/many/{number}")
                                              for number in range(2, entries + 1, max(1, entries // 500))])
    return sum(each.word != "hit" for each in sample) / len(sample)


def measure(field, site, quick):
    entries = QUICK_ENTRIES if quick else ENTRIES
    print(f"\nOne tag: carried by {entries:,} entries, or by one", flush=True)
    fill(field, site, entries)
    found = {"many": [], "single": []}
    for number in range(ROUNDS):
        for table in list(found)[::1 if number % 2 == 0 else -1]:
            found[table].append(change(field, fastcgi(site), f"/{table}/", table, SECONDS, rate=RATE, each=1, writers=1, keys=1))
            if table == "many" and len(found[table]) == 1:
                share = struck(field, site, entries)
                assert share > 0.98, f"a write struck only {100 * share:.0f} % of the answers that depend on its table"
    show_table([COLUMNS] + [changes.row(f"{table}, round {number + 1}") for table, row in found.items()
                            for number, changes in enumerate(row)])
    medians = {table: sorted(changes.fresh(50) for changes in row)[ROUNDS // 2] for table, row in found.items()}
    ratio = medians["many"] / medians["single"]
    return [Target(f"invalidate: a tag of {entries:,} entries / of one", f"1 ± noise (≤ {SAME})", f"{ratio:.2f}",
                   ratio <= SAME)]
