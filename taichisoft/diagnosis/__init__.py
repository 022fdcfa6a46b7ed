"""Diagnosis: what a softness does with a scene, in numbers and words, and how wide it should be."""
