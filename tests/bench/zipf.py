"""Keys as real traffic asks for them: the k-th most popular one 1/k as often as the first."""

from itertools import accumulate


class Zipf:
    """Chooses among `keys`, in the order of their popularity."""

    def __init__(self, random, keys):
        self.random = random
        self.keys = list(keys)
        self.weights = list(accumulate(1 / rank for rank in range(1, len(self.keys) + 1)))

    def choose(self):
        return self.random.choices(self.keys, cum_weights=self.weights)[0]

    @classmethod
    def shuffled(cls, random, keys):
        """Popularity has nothing to do with the keys' own order."""
        keys = list(keys)
        random.shuffle(keys)
        return cls(random, keys)
