-- Brings a warehouse of version 2 to version 3: gaps in what was read are remembered.
create table defender.gaps (
    tenant varchar not null,
    resource varchar not null,
    ended_at timestamptz not null,
    primary key (tenant, resource)
);
comment on table defender.gaps is 'Where a sync could not go on from its watermark, as the API no longer kept what came next.';
comment on column defender.gaps.ended_at is 'Of the last gap: rows created before this moment, since the watermark of then, were never read.';
