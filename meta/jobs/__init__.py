"""Jobs, pieces of work that are done once, and the records that they leave."""
