-- One row per known request source that is a product acting by itself.
-- `always` says that a person's name as requestor is only the author of the rule; otherwise a person decides.
create or replace view staging.request_sources as
select
    listed.request_source,
    listed.always
from
    (
        values
        ('CustomDetection', true),
        ('ActiveScan', true),
        ('EndpointConfigManagement', true),
        ('MCAS', false),
        ('TVM', false),
        ('ISG', false),
        ('NDR', false),
        ('MDI', false)
    ) as listed (request_source, always);
