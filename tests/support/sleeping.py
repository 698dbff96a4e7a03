"""Statements that PostgreSQL is in the midst of, as tests have them sleep."""


def sleeping(sql, text="pg_sleep"):
    """The sessions (pids) whose statement with this text sleeps now; `sql` runs a statement in their database.

    To be active with such a text is not enough: who learns what a statement returns sends its text as well.
    """
    return [pid for pid, in sql("SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                                "AND wait_event = 'PgSleep' AND query LIKE %s", [f"%{text}%"])]
