-- Brings a warehouse of version 3 to version 4: quarantine has no primary key.
-- Memory does not hold its index where every record of a large list has a bad value.
create table defender.quarantine_without_index (
    tenant varchar not null,
    resource varchar not null,
    record_hash varchar not null,
    reason varchar not null,
    record json not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null
);
insert into defender.quarantine_without_index
select
    tenant,
    resource,
    record_hash,
    reason,
    record,
    first_seen_at,
    last_seen_at
from defender.quarantine;
drop table defender.quarantine;
alter table defender.quarantine_without_index rename to quarantine;
comment on table defender.quarantine is 'Records of which some value could not be taken as it is, whole, once for each distinct content.';
comment on column defender.quarantine.reason is 'What is wrong with the record.';
comment on column defender.quarantine.record is 'The record as the API sent it, keys sorted.';
