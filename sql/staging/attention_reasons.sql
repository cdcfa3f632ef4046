-- One row per reason to look at a machine, the most severe first.
create or replace view staging.attention_reasons as
select
    listed.reason,
    listed.severity,
    listed.severity_rank
from
    (
        values
        ('containment_failed', 'critical', 1),
        ('release_failed', 'high', 2),
        ('isolated_over_7_days', 'high', 3),
        ('stuck', 'medium', 4),
        ('overdue', 'medium', 5),
        ('investigation_pending_approval', 'medium', 6),
        ('other_failure', 'low', 7)
    ) as listed (reason, severity, severity_rank);
