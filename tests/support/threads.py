"""The threads of a responder."""

import os


def hands(responder):
    """Are all hands asleep, and how often has one been given a processor since the start?"""
    asleep, times = True, 0
    for pid in responder.running():
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as stat:
                name, state = stat.read().split("(", 1)[1].split(") ")
            if name == "hand":
                asleep = asleep and state[0] == "S"
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as told:
                    times += int(told.read().split()[2])
    return asleep, times


def processor_seconds(responder):
    """Of all threads since the start."""
    total = 0
    for pid in responder.running():
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as told:
                total += int(told.read().split()[0])
    return total / 1e9
