"""What a softness does with a scene, in numbers and words."""
