"""Work in pieces that are done once, and the records that they leave."""
