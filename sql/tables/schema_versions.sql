-- One row per version of the tables and views that this warehouse has had.
create table if not exists defender.schema_versions (
    version integer not null,
    views_hash varchar not null,
    applied_at timestamptz not null
);
comment on table defender.schema_versions is 'Which version of the program made the tables and views.';
