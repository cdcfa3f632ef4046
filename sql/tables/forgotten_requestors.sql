-- One row per tenant and forgotten person.
create table if not exists defender.forgotten_requestors (
    tenant varchar not null,
    salt varchar not null,
    name_hash varchar not null,
    forgotten_at timestamptz not null,
    primary key (tenant, name_hash)
);
comment on table defender.forgotten_requestors is 'People whose names are not stored again. Not published.';
comment on column defender.forgotten_requestors.name_hash is 'SHA-256 of the salt and the name: it recognises the name, and does not tell it.';
