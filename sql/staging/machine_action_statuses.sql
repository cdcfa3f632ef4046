-- One row per known status of a machine action; a status that is not listed counts as open.
create or replace view staging.machine_action_statuses as
select
    listed.status,
    listed.is_open,
    listed.outcome
from
    (
        values
        ('Pending', true, 'pending'),
        ('InProgress', true, 'pending'),
        ('Succeeded', false, 'succeeded'),
        ('Failed', false, 'failed'),
        ('TimeOut', false, 'timed_out'),
        ('Cancelled', false, 'cancelled'),
        ('Canceled', false, 'cancelled')
    ) as listed (status, is_open, outcome);
