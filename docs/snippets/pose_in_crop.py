import taichisoft as ts

# A CAD model, as from `ts.load_mesh("bracket.obj")`, K of the camera, and what a detector found in
# its photo: a box, and a mask within the box. Here the photo is drawn.
part = ts.shapes.bracket()
taken = ts.Camera.look_at((2.0, 1.5, 2.6), (0.6, 0.2, 0.0), image_size=(240, 320))
box = left, top, right, bottom = (44, 36, 184, 206)
mask = ts.SoftRasterizer.hard().silhouette(part, taken)[0, top:bottom, left:right] > 0

K = taken.crop(box).intrinsics[0]  # that of the photo, with cx - left and cy - top
found = ts.fit_pose(part, mask, K, starts=8, steps=30)  # by default 32 and 60
print(found)
assert found.ok, found.verdict

# x_cam = R x + t, in the frame of the camera that took the whole photo.
assert ts.rotations.angle_between(found.R, taken.rotation[0]) < 0.03
assert (found.t - taken.translation[0]).norm() < 0.05
photo = ts.Camera.from_opencv(taken.intrinsics[0], found.R, found.t, taken.image_size)
ts.SoftRasterizer.hard()(part, photo, part.vertices.abs()).save("found.png")
