-- What a later `as_of` moves, all else being as it was.
update former
set
    as_of = _differences.as_of_tenant(former.tenant);
