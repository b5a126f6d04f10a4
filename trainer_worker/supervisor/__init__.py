"""The supervisor: takes jobs, starts trainers, watches them and reports what they do."""
