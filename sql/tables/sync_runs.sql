-- One row per run, tenant and resource.
create table if not exists defender.sync_runs (
    run_id varchar not null,
    tenant varchar not null,
    resource varchar not null,
    command varchar not null,
    status varchar not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    window_start timestamptz,
    window_end timestamptz,
    calls bigint not null default 0,
    retries bigint not null default 0,
    waited_seconds double not null default 0,
    rows_read bigint not null default 0,
    rows_new bigint not null default 0,
    rows_changed bigint not null default 0,
    rows_quarantined bigint not null default 0,
    checks_failed bigint not null default 0,
    error varchar,
    primary key (run_id, tenant, resource)
);
comment on table defender.sync_runs is 'The run log: one row for each run, tenant and resource, also where it failed.';
comment on column defender.sync_runs.status is 'succeeded, partial, failed, unavailable (the API offers no such list) or stopped.';
comment on column defender.sync_runs.finished_at is 'The end of the run; null while it goes on, and for ever where it was killed.';
comment on column defender.sync_runs.waited_seconds is 'Seconds spent waiting for the quota and between retries.';
