-- One row per tenant and resource that was not read for longer than the API keeps rows.
create table if not exists defender.gaps (
    tenant varchar not null,
    resource varchar not null,
    ended_at timestamptz not null,
    primary key (tenant, resource)
);
comment on table defender.gaps is 'Where a sync could not go on from its watermark, as the API no longer kept what came next.';
comment on column defender.gaps.ended_at is 'Of the last gap: rows created before this moment, since the watermark of then, were never read.';
