"""What jobs are made of, to be found from both ends."""

import sqlalchemy as sa

from services.domain.lineage import Relation
from services.storage.tables.columns import Name, metadata, one_of, uid

job_source = sa.Table(
    "job_source",
    metadata,
    uid("job_uid", primary_key=True),
    sa.Column("source", Name, primary_key=True),
    sa.Column("relation", sa.String(20), primary_key=True),
    sa.ForeignKeyConstraint(["job_uid"], ["job.uid"]),
    one_of("relation", Relation),
    sa.Index(None, "source"),
    comment="The specification once more, to be found by: uids of datasets, names of versions and jobs. Never changed.",
)
