-- One row per tenant, resource and distinct bad record.
-- No primary key: memory does not hold its index where every record of a large list has a bad value.
create table if not exists defender.quarantine (
    tenant varchar not null,
    resource varchar not null,
    record_hash varchar not null,
    reason varchar not null,
    record json not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null
);
comment on table defender.quarantine is 'Records of which some value could not be taken as it is, whole, once for each distinct content.';
comment on column defender.quarantine.reason is 'What is wrong with the record.';
comment on column defender.quarantine.record is 'The record as the API sent it, keys sorted.';
