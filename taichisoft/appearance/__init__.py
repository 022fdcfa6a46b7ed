"""How a surface looks: textures, lights, shaders and backgrounds; knows neither softness nor kernels."""
