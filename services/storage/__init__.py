"""The only SQL of the house: tables, a keeper a subject, migrations."""
