-- Brings a warehouse of version 1 to version 2: what was erased for good is remembered.
create table defender.purges (
    tenant varchar not null,
    purged_before timestamptz not null,
    purged_at timestamptz not null,
    primary key (tenant)
);
comment on table defender.purges is 'What was erased for good: no row created before that moment is stored again.';
comment on column defender.purges.purged_before is 'Rows created before this moment are gone, and stay gone; it never goes back.';
create table defender.forgotten_requestors (
    tenant varchar not null,
    salt varchar not null,
    name_hash varchar not null,
    forgotten_at timestamptz not null,
    primary key (tenant, name_hash)
);
comment on table defender.forgotten_requestors is 'People whose names are not stored again. Not published.';
comment on column defender.forgotten_requestors.name_hash is 'SHA-256 of the salt and the name: it recognises the name, and does not tell it.';
