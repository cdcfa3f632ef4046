-- One row per tenant, resource and command whose range is not read to its end yet.
create table if not exists defender.ranges (
    tenant varchar not null,
    resource varchar not null,
    command varchar not null,
    range_start timestamptz not null,
    range_end timestamptz not null,
    reached timestamptz not null,
    primary key (tenant, resource, command)
);
comment on table defender.ranges is 'How far a backfill or reconcile that was cut short has come.';
