-- What a later `as_of` moves in the investigations, whose content is as it was; and when they were last read.
update former
set
    as_of = _differences.as_of_tenant(former.tenant),
    age_seconds = _differences.seconds_since(former.started_at, former.tenant),
    synced_at = coalesce(
        (
            select touched.synced_at from _differences.touched_investigations as touched
            where touched.tenant = former.tenant and touched.id = former.investigation_id
        ),
        former.synced_at
    );
