-- A later `as_of`, all else being as it was.
update snapshot.marts.machine_action_investigations
set as_of = as_of.as_of
from _differences.as_of as as_of
where machine_action_investigations.tenant = as_of.tenant;
