"""The user's labelled examples: rows of files, which column is what, and what is held out."""

from wenmo.examples.columns import Role, assign_columns
from wenmo.examples.splitting import Split, split_groups
from wenmo.examples.table import Row, Table, read_table

__all__ = ["Role", "Row", "Split", "Table", "assign_columns", "read_table", "split_groups"]
