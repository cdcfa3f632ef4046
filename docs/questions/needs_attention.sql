-- What should somebody look at first?
select
    severity,
    reason,
    machine_name,
    since,
    occurrences,
    requested_by,
    comment,
    portal_url
from marts.needs_attention
order by severity_rank, since
limit 20
