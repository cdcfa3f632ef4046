-- One row per requestor text (lower case) that is known under another name or as automation.
-- Those of `sync.requestor_aliases` are put first; the names below have not been seen in a live tenant.
create or replace view staging.requestor_aliases as
select
    listed.requestor_key,
    listed.requested_by,
    listed.requested_by_kind
from
    (
        values
        -- Aliases of the configuration.
        ('automation', 'automation', 'automation'),
        ('automatedir', 'automated investigation', 'automation'),
        ('automated investigation', 'automated investigation', 'automation'),
        ('automated investigation and response', 'automated investigation', 'automation'),
        ('attackdisruption', 'attack disruption', 'automation'),
        ('attack disruption', 'attack disruption', 'automation'),
        ('automatic attack disruption', 'attack disruption', 'automation'),
        ('system', 'system', 'automation'),
        -- What `defender-sync forget` leaves of a person.
        ('forgotten', 'forgotten', 'person')
    ) as listed (requestor_key, requested_by, requested_by_kind);
