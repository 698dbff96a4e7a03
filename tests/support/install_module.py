"""Databases that have Larder's module for PostgreSQL, and what its triggers leave in the ring."""

from .install import Installed


class WithModule(Installed):
    """A database of its own on a server that has the module loaded."""

    def __init__(self, server, folder, schema, routes, encoding=None):
        super().__init__(server, folder, schema, routes, encoding)
        server.create_module(self.name)

    def ring(self):
        """The ring's tags, which leave it, in as many parts as they are given in."""
        tags, more = [], functions(self) != []
        while more:
            (part, more), = self.sql("SELECT tags, more FROM larder_ring.take(1000000)", user="postgres")
            tags += part.split("\n") if part else []
        return sorted(tags)

    def rows(self):
        return sorted(super().rows() + self.ring())

    def left(self, *statements, user="larder"):
        self.ring()
        return super().left(*statements, user=user)


def functions(database):
    """Of the schema larder_ring."""
    return [name for name, in database.sql("SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
                                           "WHERE n.nspname = 'larder_ring' ORDER BY 1", user="postgres")]
