-- A later `as_of`, all else being as it was.
update snapshot.marts.response_times
set as_of = as_of.as_of
from _differences.as_of as as_of
where response_times.tenant = as_of.tenant;
