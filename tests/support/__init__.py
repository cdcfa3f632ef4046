"""What the tests share: records to state by hand, the API's truth in the contract's columns, and the stage."""
