-- A later `as_of` for the published investigations, whose content is as it was; and when they were last read.
update snapshot.marts.investigations
set
    as_of = as_of.as_of,
    age_seconds = case
        when investigations.started_at > as_of.as_of then 0
        else epoch(as_of.as_of) - epoch(investigations.started_at)
    end
from _differences.as_of as as_of
where investigations.tenant = as_of.tenant;

update snapshot.marts.investigations
set synced_at = touched.synced_at
from _differences.touched_investigations as touched
where
    investigations.tenant = touched.tenant
    and investigations.investigation_id = touched.id;
