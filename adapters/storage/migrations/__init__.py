"""How the tables became what they are, by alembic. `migrate.py` beside this package runs them."""
