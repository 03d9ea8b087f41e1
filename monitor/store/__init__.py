"""The store: SQLite, and the only place that knows SQL.

Facts are kept as they came (messages with revisions, operator actions, cursors, policies, what was sent);
cases are a fold of them, kept only to be asked. `database.py` opens files and makes transactions; each
other module holds the statements about one kind of fact.
"""
