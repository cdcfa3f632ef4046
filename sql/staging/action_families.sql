-- One row per family of actions, with the time after which an open action is overdue.
create or replace view staging.action_families as
select
    listed.family,
    listed.overdue_after_seconds
from
    (
        values
        ('isolation', 900),
        ('unmanaged_containment', 900),
        ('app_restriction', 900),
        ('file_quarantine', 3600),
        ('forensics', 10800),
        ('live_response', 10800),
        ('offboarding', 86400),
        ('scan', 86400),
        ('other', 86400)
    ) as listed (family, overdue_after_seconds);
