-- Passes when the versions of each investigation count 1, 2, … and belong to one that is kept.
with counted as (
    select
        tenant,
        id,
        count(*) as version_count,
        min(version) as first_version,
        max(version) as last_version
    from staging.investigation_versions
    group by tenant, id
)

select
    counted.tenant,
    'investigations' as resource,
    counted.id,
    counted.version_count,
    counted.last_version
from counted
left join staging.investigations as investigations
    on
        counted.tenant = investigations.tenant
        and counted.id = investigations.id
where
    investigations.id is null
    or counted.first_version <> 1
    or counted.version_count <> counted.last_version;
