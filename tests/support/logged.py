"""A program of Larder's with a log of its own in a folder."""

import os

SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


class Logged:
    def __init__(self, folder, name, environment):
        self.folder = str(folder)
        self.name = name
        self.environment = environment
        self.process = None

    @property
    def log(self):
        return f"{self.folder}/{self.name}.log"

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def sanitizer_report(self):
        """The part of the log in which a sanitizer complains, or None."""
        text = self.log_text() if os.path.exists(self.log) else ""
        places = [text.find(mark) for mark in SANITIZER_MARKS if mark in text]
        return text[min(places):] if places else None
