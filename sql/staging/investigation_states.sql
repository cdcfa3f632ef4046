-- One row per known state of an investigation; a state that is not listed counts as open.
create or replace view staging.investigation_states as
select
    listed.state,
    listed.is_open
from
    (
        values
        ('Unknown', true),
        ('Queued', true),
        ('Running', true),
        ('PendingApproval', true),
        ('PendingResource', true),
        ('Terminated', false),
        ('TerminatedByUser', false),
        ('TerminatedBySystem', false),
        ('SuccessfullyRemediated', false),
        ('PartiallyRemediated', false),
        ('PartiallyInvestigated', false),
        ('Benign', false),
        ('Failed', false),
        ('InnerFailure', false),
        ('PreexistingAlert', false),
        ('UnsupportedOs', false),
        ('UnsupportedAlertType', false),
        ('SuppressedAlert', false),
        ('Disabled', false)
    ) as listed (state, is_open);
