-- One row per tenant and resource.
create or replace view marts.sync_freshness as
with kept_rows as (
    select
        tenant,
        'machine_actions' as resource,
        count(*) as row_count,
        count(*) filter (where is_open and gone_at is null) as open_count,
        count(*) filter (where gone_at is not null) as gone_count,
        min(creation_date_time_utc) as oldest_at,
        max(creation_date_time_utc) as newest_at
    from staging.machine_actions
    group by tenant
    union all
    select
        tenant,
        'investigations' as resource,
        count(*) as row_count,
        count(*) filter (where is_open and gone_at is null) as open_count,
        count(*) filter (where gone_at is not null) as gone_count,
        min(start_time) as oldest_at,
        max(start_time) as newest_at
    from staging.investigations
    group by tenant
),

quarantined as (
    select
        tenant,
        resource,
        count(*) as quarantined_count
    from staging.quarantine
    group by tenant, resource
),

last_starts as (
    select
        tenant,
        resource,
        max(started_at) as started_at
    from staging.sync_runs
    group by tenant, resource
),

-- One of each, but where several started at once.
last_runs as (
    select
        runs.tenant,
        runs.resource,
        runs.run_id,
        runs.command,
        runs.status,
        runs.started_at,
        runs.finished_at,
        runs.checks_failed,
        runs.error,
        row_number() over (partition by runs.tenant, runs.resource order by runs.run_id desc) as place
    from staging.sync_runs as runs
    inner join last_starts
        on
            runs.tenant = last_starts.tenant
            and runs.resource = last_starts.resource
            and runs.started_at = last_starts.started_at
),

-- A backfill or reconcile reads a closed range: it makes nothing fresher.
successes as (
    select
        tenant,
        resource,
        max(finished_at) filter (where status = 'succeeded') as last_success_at,
        -- That an endpoint is not offered is no failure.
        max(finished_at) as last_well_at
    from staging.sync_runs
    where status in ('succeeded', 'unavailable') and command = 'sync'
    group by tenant, resource
),

failures as (
    select
        runs.tenant,
        runs.resource,
        min(runs.started_at) as failing_since
    from staging.sync_runs as runs
    left join successes
        on
            runs.tenant = successes.tenant
            and runs.resource = successes.resource
    where
        runs.status in ('failed', 'partial')
        and runs.command = 'sync'
        and (successes.last_well_at is null or runs.started_at >= successes.last_well_at)
    group by runs.tenant, runs.resource
),

resources as (
    select
        tenant,
        resource
    from staging.sync_runs
    union
    select
        tenant,
        resource
    from staging.watermarks
    union
    select
        tenant,
        resource
    from kept_rows
)

select
    resources.tenant,
    resources.resource,
    successes.last_success_at,
    failures.failing_since,
    watermarks.watermark,
    epoch(as_of.as_of) - epoch(watermarks.watermark) as lag_seconds,
    coverage.known_since,
    coalesce(kept_rows.row_count, 0) as row_count,
    coalesce(kept_rows.open_count, 0) as open_count,
    coalesce(kept_rows.gone_count, 0) as gone_count,
    coalesce(quarantined.quarantined_count, 0) as quarantined_count,
    coalesce(last_runs.checks_failed, 0) as checks_failed,
    kept_rows.oldest_at,
    kept_rows.newest_at,
    last_runs.run_id as last_run_id,
    last_runs.command as last_run_command,
    last_runs.status as last_run_status,
    last_runs.started_at as last_run_started_at,
    last_runs.finished_at as last_run_finished_at,
    last_runs.error as last_run_error,
    as_of.as_of
from resources
left join successes
    on
        resources.tenant = successes.tenant
        and resources.resource = successes.resource
left join failures
    on
        resources.tenant = failures.tenant
        and resources.resource = failures.resource
left join staging.watermarks as watermarks
    on
        resources.tenant = watermarks.tenant
        and resources.resource = watermarks.resource
left join kept_rows
    on
        resources.tenant = kept_rows.tenant
        and resources.resource = kept_rows.resource
left join quarantined
    on
        resources.tenant = quarantined.tenant
        and resources.resource = quarantined.resource
left join last_runs
    on
        resources.tenant = last_runs.tenant
        and resources.resource = last_runs.resource
        and last_runs.place = 1
left join staging.coverage as coverage
    on
        resources.tenant = coverage.tenant
        and resources.resource = 'machine_actions'
left join staging.as_of as as_of
    on resources.tenant = as_of.tenant;

comment on view marts.sync_freshness is 'How fresh and how complete the warehouse is, by tenant and resource.';
comment on column marts.sync_freshness.tenant is 'Name of the tenant in the configuration.';
comment on column marts.sync_freshness.resource is 'machine_actions or investigations.';
comment on column marts.sync_freshness.last_success_at is 'End of the last sync that succeeded in full; null when none did.';
comment on column marts.sync_freshness.failing_since is 'Start of the first sync that failed, also in part, since the last one that did not; null while all is well.';
comment on column marts.sync_freshness.watermark is 'Everything created before this time has been read.';
comment on column marts.sync_freshness.lag_seconds is 'Seconds from the watermark to as_of.';
comment on column marts.sync_freshness.known_since is 'Since when the machine actions of the tenant are covered; null for investigations.';
comment on column marts.sync_freshness.row_count is 'Rows kept, those that are gone included.';
comment on column marts.sync_freshness.open_count is 'Rows open and not gone: these are read again at each sync.';
comment on column marts.sync_freshness.gone_count is 'Rows that the API no longer shows.';
comment on column marts.sync_freshness.quarantined_count is 'Distinct records with a bad value, kept in quarantine.';
comment on column marts.sync_freshness.checks_failed is 'Checks that failed in the last run.';
comment on column marts.sync_freshness.oldest_at is 'Creation or start of the oldest row.';
comment on column marts.sync_freshness.newest_at is 'Creation or start of the newest row.';
comment on column marts.sync_freshness.last_run_id is 'The last run, whatever became of it.';
comment on column marts.sync_freshness.last_run_command is 'Command of the last run.';
comment on column marts.sync_freshness.last_run_status is 'succeeded, partial, failed, unavailable (the endpoint is not offered) or stopped.';
comment on column marts.sync_freshness.last_run_started_at is 'Start of the last run.';
comment on column marts.sync_freshness.last_run_finished_at is 'End of the last run; null when it was killed or still runs.';
comment on column marts.sync_freshness.last_run_error is 'What went wrong in the last run.';
comment on column marts.sync_freshness.as_of is 'The time that ages are counted from: the end of the tenant''s last sync that succeeded, at least in part.';
