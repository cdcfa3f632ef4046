-- One row per tenant that was purged.
create table if not exists defender.purges (
    tenant varchar not null,
    purged_before timestamptz not null,
    purged_at timestamptz not null,
    primary key (tenant)
);
comment on table defender.purges is 'What was erased for good: no row created before that moment is stored again.';
comment on column defender.purges.purged_before is 'Rows created before this moment are gone, and stay gone; it never goes back.';
