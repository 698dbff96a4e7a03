"""What the triggers leave of the rate of many writers at once."""

import re
import subprocess

from support.postgres import program_folder

from . import mix_review, mix_social
from .report import Spread, Target, show_table
from .triggers import EMPTY, MODULE, PLAIN, WATCHED, durable, flush, superuser, vacuum
from .usage import group_seconds

WRITERS, THREADS = 64, 2
SECONDS, ROUNDS = 2, 8
QUICK_SECONDS, QUICK_ROUNDS = 3, 2
RATE_LEAST = 0.85

# Each changes its row: a text that is there already would strike nothing.
HOT = {"of what a route reads whole": "SET content = 'Edited ' || :text",
       "of what a route reads by key": "SET views = views + 1"}
HOT_SCRIPT = ("\\set id random(1, {feeds})\n\\set text random(1, 1000000000)\n"
              "UPDATE social.feeds {change} WHERE id = :id;\n")

# Keys as bench/zipf.py draws them, as nearly as pgbench can.
POPULAR = "permute(random_zipfian(1, {count}, 1.001) - 1, {count}) + 1"
SOCIAL_VALUES = ("\\set user {user}\n\\set place {place}\n\\set feed {feeds} - :place\n"
                 "\\set name random(1, 1000000000)\n")
NEW_FEED = "\\set feed random(1000000000, 1000000000000000)\n"
REVIEW_VALUES = (f"\\set user {POPULAR.format(count=mix_review.USERS)}\n"
                 f"\\set content (:user - 1) * {mix_review.CONTENTS} + random(1, {mix_review.CONTENTS})\n"
                 "\\set result random(0, 3)\n\\set title random(1, 1000000000)\n")


def script(values, *statements):
    """One transaction; its parameters are pgbench's variables."""
    lines = [re.sub(r"%\((\w+)\)s", r":\1", statement).replace(":kind", "'like'") + ";\n" for statement in statements]
    return values + "".join(lines if len(lines) == 1 else ["BEGIN;\n", *lines, "COMMIT;\n"])


def social(feeds):
    """[(weight, script)] of system A's writes, as bench/mix_social.py has them."""
    users = min(mix_social.USERS, feeds // 10)
    values = SOCIAL_VALUES.format(feeds=feeds, user=POPULAR.format(count=users),
                                  place=POPULAR.format(count=mix_social.FEEDS))
    scripts = {"like": script(values, mix_social.LIKE, mix_social.NOTIFY), "look": script(values, mix_social.LOOK),
               "comment": script(values, mix_social.COMMENT, mix_social.NOTIFY),
               "profile": script(values, mix_social.PROFILE), "feed": script(values + NEW_FEED, mix_social.FEED)}
    return [(weight, scripts[kind]) for kind, weight in mix_social.WRITES.items()]


def review():
    """… of system B's."""
    scripts = {"complete": script(REVIEW_VALUES, mix_review.MOVE, mix_review.RECORD),
               "edit": script(REVIEW_VALUES, mix_review.EDIT)}
    return [(weight, scripts[kind]) for kind, weight in mix_review.WRITES.items()]


def crowds(feeds):
    """By name: what they write, and the tables."""
    hot = {name: ([(1, HOT_SCRIPT.format(feeds=feeds, change=change))], ["social.feeds"])
           for name, change in HOT.items()}
    return hot | {"as system A writes": (social(feeds), ["social.feeds", "social.likes", "social.comments",
                                                         "social.notifications", "social.users"]),
                  "as system B writes": (review(), ["bench.contents", "bench.schedules", "bench.histories"])}


def files(field, scripts):
    """pgbench's options for them."""
    words = []
    for number, (weight, text) in enumerate(scripts):
        path = f"{field.work}/crowd_{number}.sql"
        with open(path, "w", encoding="utf-8") as output:
            output.write(text)
        words += ["-f", f"{path}@{weight}"]
    return words


def take_slice(field, scripts, database, seconds, roots):
    """Commits a second, and what one costs `roots` in µs of CPU."""
    words = [f"{program_folder()}/pgbench", "-n", "-M", "prepared", "-c", str(WRITERS), "-j", str(THREADS),
             "-T", str(seconds), "--max-tries", "10", *files(field, scripts), database]
    before = group_seconds(roots)
    done = subprocess.run(words, env=field.environment(), capture_output=True, text=True, check=False,
                          timeout=seconds + 60)
    assert done.returncode == 0, done.stderr
    used = group_seconds(roots) - before
    commits = int(re.search(r"actually processed: (\d+)", done.stdout).group(1))
    return float(re.search(r"tps = ([\d.]+)", done.stdout).group(1)), 1e6 * used / commits


def take_turns(field, scripts, tables, seconds, rounds, roots):
    """(commits a second, CPU of a commit) of each slice, by database; every round begins with another."""
    found = {PLAIN: [], EMPTY: [], WATCHED: [], MODULE: []}
    for number in range(rounds):
        order = list(found)
        for database in order[number % len(order):] + order[:number % len(order)]:
            found[database].append(take_slice(field, scripts, database, seconds, roots))
        vacuum(field, *tables)
        flush(field)
    return found


def measure(field, sites, quick):
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (SECONDS, ROUNDS)
    roots = [field.postgres.process.pid] + [server.process.pid for site in sites for server in (site.redis, site.daemon)]
    feeds = superuser(field, "SELECT count(*) FROM social.feeds", PLAIN)[0][0]
    ways = ("without", "empty triggers", "triggers", "module")
    rates = [(f"{WRITERS} writers, commits a second", *ways)]
    ratios = [("of the rate without", *ways[1:], "triggers / empty", "module / empty")]
    costs = [("CPU µs a commit", *ways)]
    targets = []
    for name, (scripts, tables) in crowds(feeds).items():
        with durable(field):
            found = take_turns(field, scripts, tables, seconds, rounds, roots)
        plain, empty, *others = ([rate for rate, _ in slices] for slices in found.values())
        rates.append((name, *(Spread.of(values).text("{:.0f}") for values in (plain, empty, *others))))
        ratios.append((name, *(Spread.of_ratios(values, plain).text() for values in (empty, *others)),
                       *(Spread.of_ratios(values, empty).text() for values in others)))
        costs.append((name, *(Spread.of(cost for _, cost in slices).text("{:.0f}") for slices in found.values())))
        ratio = Spread.of_ratios(others[-1], plain)
        targets.append(Target(f"invalidate: {WRITERS} writers {name}, with the module / without", f"≥ {RATE_LEAST}",
                              ratio.text(), ratio.middle >= RATE_LEAST))
    print(f"\n{WRITERS} writers at once, commits are on the disk; {rounds} rounds of {seconds} s in turn")
    for table in (rates, ratios, costs):
        show_table(table)
        print()
    return targets
