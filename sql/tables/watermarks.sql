-- One row per tenant and resource: how far it was read.
create table if not exists defender.watermarks (
    tenant varchar not null,
    resource varchar not null,
    watermark timestamptz,
    largest_page bigint not null default 0,
    scrubbed_until timestamptz,
    updated_at timestamptz,
    primary key (tenant, resource)
);
comment on table defender.watermarks is 'How far each tenant and resource was read; written after a load is complete, never before.';
comment on column defender.watermarks.watermark is 'Every row created before this moment was read; never past the clock of the server.';
comment on column defender.watermarks.largest_page is 'The longest page ever seen of this endpoint, in rows.';
comment on column defender.watermarks.scrubbed_until is 'Where the next scrub of settled history goes on.';
comment on column defender.watermarks.updated_at is 'The read stamp (synced_at) of the last rows that were committed with their versions.';
