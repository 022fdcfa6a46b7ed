"""The inner and the outer loop of learning a softness, alone or shared among processes."""
