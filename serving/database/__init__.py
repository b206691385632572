"""The store: tables, migrations, segments, crops and jobs."""
