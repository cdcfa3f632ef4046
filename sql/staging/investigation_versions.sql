-- One row per tenant, investigation and observed version of it; the versions of a folded twin are left out.
create or replace view staging.investigation_versions as
select
    versions.tenant,
    versions.id,
    versions.version,
    versions.state,
    versions.start_time,
    versions.end_time,
    versions.observed_at
from defender.investigation_versions as versions
left join staging.investigation_twins as twins
    on
        versions.tenant = twins.tenant
        and versions.id = twins.twin_id
where twins.twin_id is null;
