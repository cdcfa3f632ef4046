-- What a later `as_of` moves, all else being as it was.
update former
set
    as_of = _differences.as_of_tenant(former.tenant),
    seconds_contained = case
        when former.outcome <> 'contained' or former.is_in_doubt then former.seconds_contained
        else _differences.seconds_since(former.contained_at, former.tenant)
    end;
