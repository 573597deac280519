"""The database's schema, step by step. Applied when a store opens; never edited once released."""
