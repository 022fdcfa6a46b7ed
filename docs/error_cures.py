"""What causes each error and what cures it, by a pattern of its message; read by docs/errors.py.

The first pattern that is found in a message counts, so narrow ones stand before wide ones. In a message a
placeholder is a word in braces.
"""

CURES = (
    # Streams and devices of CUDA
    (
        r"^no render is possible while a CUDA graph is captured",
        "Kernels are launched by Taichi, on the default stream, which a graph that is being captured cannot hold.",
        "Render before or after `torch.cuda.graph`, or without a graph.",
    ),
    (
        r"^\{name\} must be on cuda:\{FIRST\}",
        "Taichi runs on the first CUDA device that the process sees, and on no other.",
        '`.to("cuda:0")`, or the environment variable that the message names: each process has a device of its own then.',
    ),
    # Batches that a DataLoader makes
    (
        r"^\{records\} must agree in \{name\} to be a batch",
        "Cameras or images that a `DataLoader` makes a batch of differ in what a batch has once: a size, a kind, outputs, a dtype, a device.",
        "Bring them to one size, `camera.resize(size)`, or give the loader a `collate_fn` that keeps a list.",
    ),
    # Items of a glTF file; what follows would take them for tensors
    (
        r"^\{place\}( must be \{expected\}|\.\{name\} is missing)",
        "An item of a glTF file holds something else than glTF says, or lacks it: the program that wrote it is at fault, or it is damaged.",
        "Look at what is named. `ts.load_mesh(path, materials=False)` reads the shape alone; the glTF validator of Khronos checks whole files.",
    ),
    # The pose of a mesh
    (
        r"^K or camera must be given",
        "`ts.fit_pose` needs to know the lens, once.",
        "K of one view, or `camera=` with a `ts.Camera` of all views. An unknown K: `ts.Camera.look_at((0, 0, 1), fov=40, "
        "image_size=size).intrinsics[0]` is a guess.",
    ),
    (
        r"^camera must be given for \{views\} masks|^camera must have a view for each mask|^camera must have the image size",
        "Each mask has its own camera, whose image is the mask; only their poses say how the views stand to each other.",
        "`camera=ts.load_nerf_cameras(path).camera()` or another batch, in the order of the masks; `camera[0]` is one. Of a part or "
        "another size of a photo: `camera.crop(box)`, `camera.resize(size)`.",
    ),
    (
        r"^mask must have shape \(H, W\)",
        "The file has channels, as a coloured image has, and they were taken for the height and width of many views.",
        "`mask[..., 0]`, or another channel; of an image with opacity the last one is often the mask.",
    ),
    (
        r"^report must be callable",
        "It is called with each line that is to be reported.",
        "`report=print`, or None.",
    ),
    (
        r"^camera must be a perspective one",
        "Without perspective a mask does not tell how far away the mesh is.",
        "A perspective camera, such as `ts.Camera.from_opencv`.",
    ),
    (
        r"^init must be a PoseFit|^init must place the mesh",
        "The start is the pose of the mesh, `x_cam = R x + t` in the axes of OpenCV: z is forward, in the units of the mesh.",
        "`init=(R, t)`, or what `ts.fit_pose` returned. Of a pose in the axes of OpenGL turn the signs of the second and third row "
        "of R and t; of a pose of the camera take the inverse.",
    ),
    (
        r"^depth must be known somewhere in the mask|^depth must not be negative",
        "A depth map of another view or of another size, or one whose axis points backwards.",
        "Depth along the view direction, in the units of the mesh; check it against the mask.",
    ),
    (
        r"^mesh must have colours or materials to be compared",
        "A photo is compared with the mesh's own colours.",
        "`ts.load_mesh(path)` with its materials, `mesh.with_vertex_colors(colors)`, or no `image=`.",
    ),
    (
        r"^renderer must be soft",
        "The image of a hard renderer is constant to its gradient: nothing says where to move.",
        '`ts.SoftRasterizer.pretrained("pose")`, the default, or `ts.SoftRasterizer(ts.Gaussian(1.0))`.',
    ),
    (
        r"^mesh must have faces to be seen",
        "A cloud of points, or a mesh that has lost its faces.",
        "Look at the file; a point cloud needs a surface first.",
    ),
    # Tensors, numbers and batches
    (
        r"must be finite, got|holds numbers that are not finite|a setting must be finite",
        "A NaN or an infinity: often a learning rate that is too high, a division by zero before the render, or a damaged file.",
        "Look at the index named. In a loop, lower the learning rate, clip gradients, or let `ts.fit` refuse such steps.",
    ),
    (
        r"vertices must be less than",
        "A vertex that has flown off in an optimisation, or a scene in a tiny unit: squares of such numbers overflow.",
        "Lower the learning rate or limit the vertices; give the scene another unit, or use float64.",
    ),
    (
        r"this process was forked",
        "The threads of the kernels do not survive a fork, so that a render in the child would wait for them for ever.",
        "Start the processes by `spawn` or `forkserver`, or render in the parent only. Workers that do not render are fine.",
    ),
    (
        r"was reset \(",
        "`ti.reset()` or a second `ti.init()` deleted what this library had compiled.",
        "Call `ti.init` before the first render and never `ti.reset`; a new process starts afresh.",
    ),
    (
        r"forward derivative of a",
        "A forward derivative is taken by transposing a reverse one: of a gradient that needs symmetric second derivatives, "
        "which a straight-through curve does not have; of another forward derivative it would be a third one.",
        "Reverse mode outside: `jacrev` of `jacrev`, `vjp` of `grad`; or `taichisoft.reference`, which is torch throughout.",
    ),
    (
        r"cannot be mapped over",
        "The torch reference reads numbers to decide where the near plane cuts a face.",
        "`mesh.with_vertices(vertices)` with vertices (B, V, 3) and a batch of cameras in one call; or `vmap` over the renderer.",
    ),
    (
        r"a vmap over renders",
        "`torch.func.vmap` over an axis of length 0.",
        "Leave the render out when there is nothing to render.",
    ),
    (
        r"modified by an inplace operation",
        "Memory that a render had read was written to (`x.add_(1)`, an optimizer step) before its derivative was computed.",
        "`renderer(mesh.with_vertices(v.clone()), camera)`, or write after the derivative.",
    ),
    (
        r"within a transform of torch\.func|before a transform of torch\.func",
        "Tables and sparse matrices are made by means of torch that a transform does not let through.",
        "Make the loss, or the softness, before the function that is transformed, and use it there.",
    ),
    (
        r"^\{name\} must have shape|colors must have shape|^projection must|must be \{expected\}",
        "A tensor with other axes than expected; letters stand for sizes that are free.",
        "Permute, reshape or index it: images are (B, H, W), vertices (V, 3) or (B, V, 3), matrices have their rows first.",
    ),
    (
        r"^\{name\} must be of dtype|dtype must be torch\.float32|must be real, got|must be a floating",
        "Another dtype. Half precision and integers are not rendered: half a pixel of rounding moves silhouettes.",
        "`x.float()`, or `mesh.to(dtype=torch.float32)`; faces are int64: `faces.long()`.",
    ),
    (
        r"must have the dtype of",
        "Two arguments of different precision, mostly float64 from NumPy beside float32.",
        "Bring them to one: `mesh.to(dtype=...)`, `camera.to(dtype=...)`, `x.to(other.dtype)`.",
    ),
    (
        r"must be on the device of|arguments must be on one device",
        "Tensors on different devices.",
        "`mesh.to(device)`, `camera.to(device)`; a renderer with parameters moves as any module.",
    ),
    (
        r"must be on a device that holds numbers|renderer must be on a device",
        "A tensor on the device 'meta', which has a shape and no numbers: mostly a model that was built there and not loaded.",
        "Load it, or make the tensor on a real device.",
    ),
    (
        r"must be a dense tensor",
        "A sparse tensor.",
        "`x.to_dense()`.",
    ),
    (
        r"must be one tensor or numbers",
        "A list of tensors where one tensor is needed.",
        "`torch.stack(list)`: gradients flow through it.",
    ),
    (
        r"must be a tensor or numbers|must be a Tensor, got ndarray|must be a number, got|must be a number or a \{wanted\}|must be an int, got|must be \{wanted\}",
        "An argument of another type, such as a string, None, or a NumPy array where a tensor is wanted.",
        "Pass the type named; `torch.as_tensor(array)` makes a tensor of an array.",
    ),
    (
        r"^LargeSteps needs SciPy",
        "SciPy factorizes the matrix, and comes with an extra.",
        "`pip install 'taichisoft[large-steps]'`.",
    ),
    (
        r"betas must be a pair|must be at least 0 and less than 1",
        "The decays of the two moments of `AdamUniform`.",
        "`betas=(0.9, 0.999)`.",
    ),
    (
        r"must be a pair \(height, width\)",
        "The size of the image is one number, or has floats.",
        "`image_size=(height, width)`, height first.",
    ),
    (
        r"batch sizes must be equal or 1",
        "For instance 4 meshes and 3 cameras.",
        "Every batch has the same size or 1; `camera[i]` selects, `torch.cat` joins.",
    ),
    (
        r"must index",
        "A face names a vertex that is not there: faces counted from 1, as in OBJ files, or vertices that were removed.",
        "Count from 0: `faces - 1`; remove the faces of removed vertices.",
    ),
    (
        r"must be \{below\}|must be at least \{minimum\}|must be greater than|(tolerance|weight|eps) must not be negative"
        r"|must be positive, got|target_length must not be negative|progress must be from 0 to 1|shininess must be positive"
        r"|must be at most \{maximum\}|must be from \{(low|least)\} to|depth_extent must not be negative|low must be less than high",
        "A number outside of its range.",
        "Take one inside of it. Angles are in degrees, scales in pixels, gamma and near in scene units.",
    ),
    # Cameras
    (
        r"index must select one of",
        "`camera[i]` beyond the batch.",
        "Cameras are numbered from 0 to `len(camera) - 1`.",
    ),
    (
        r"box must have a",
        "The sides of a box are not whole pixels, or the boxes of a batch have several sizes: all images of a batch have one.",
        "Round the box, or make all as large as the largest, and `camera.resize` afterwards.",
    ),
    (
        r"either fov or",
        "A field of view of the height and one of the width: the image size makes one of the other.",
        "Give one of the two.",
    ),
    (
        r"image_size must be square",
        "The numbers (scale, tx, ty) belong to the square crop that a network has seen, not to the whole image.",
        "Pass the size of the crop, then `camera.resize` and `camera.crop` to the whole image.",
    ),
    (
        r"must have an inverse",
        "A rotation or intrinsics that flatten what they are multiplied with: a focal length of 0.",
        "Look at the matrix named; a focal length is in pixels and positive.",
    ),
    (
        r"^mvp must",
        "The matrix is not that of a camera: it mirrors, flattens or shears the scene, or its rows and columns are exchanged.",
        "Pass `projection @ view @ model` for column vectors, with the signs of OpenGL; transpose one that is for row vectors.",
    ),
    (
        r"no fisheye, got|camera_model of FULL_OPENCV",
        "A photo of a fisheye or of another lens than OpenCV's pinhole with k1 to k6, p1 and p2.",
        "Undistort the photos first: `colmap image_undistorter`, or `cv2.fisheye.undistortImage` with its new K.",
    ),
    (
        r"distortion_params of",
        "The list of nerfstudio has other coefficients than its six, or others than are stated by name.",
        "Leave the list out and state k1, k2, k3, p1 and p2 by name.",
    ),
    (
        r"distortion needs a perspective camera",
        "A lens bends rays that meet in it; those of an orthographic camera are parallel.",
        "Leave `distortion` out, or use a perspective camera.",
    ),
    (
        r"distortion must be None",
        "The other program's cameras have no distortion; without it they would see something else.",
        "`to_opencv`, or undistort the images and pass `dataclasses.replace(camera, distortion=None)`.",
    ),
    (
        r"pixels must be where the lens shows",
        "With a negative k1 the image of a lens ends at a circle: no ray leads to a pixel beyond.",
        "Give a depth of 0 there, or check the calibration: it should hold up to the corners of the image.",
    ),
    (
        r"cam_K of image|height and width must be at least|camera angles of|file_path of"
        r"|frames must be|which are missing|is missing$|must hold a JSON|nested so deep|must be numbers of|must be an object, got"
        r"|must be a whole number, got|keys must be|^\{name\} must have the last row|must have a list of poses|must be in scene_camera|line \{line\} must have"
        r"|line \{index\} must have|needs camera|each camera must be there once|at least one image$|^the file ends (at|within)|bytes more than \{count|quaternion of image",
        "A file of cameras does not hold what its format says: it is cut off, of another program, or written by hand.",
        "The message names the file and the place in it. Export the cameras again, or mend the place.",
    ),
    (
        r"existing \{kind\} file|folder with cameras|where there is no image to read|image must be readable",
        "A file is not where the others say that it is, or is no image.",
        "Look at the path in the message; `image_size=` goes without the images.",
    ),
    (
        r"image_size must be that of the file",
        "The file says how large the photos are, and its focal lengths are in pixels of that size.",
        "Leave `image_size` out, and draw with `camera.resize(size)`.",
    ),
    (
        r"^duration must be at most",
        "A GIF file cannot show one picture for longer, and equal frames are stored as one.",
        "Give a shorter `duration`.",
    ),
    (
        r"views must have one image size",
        "A batch of cameras has one image size, and the photos have several.",
        "`[view.resize((480, 640)) for view in views.cameras]`, or draw one view after the other.",
    ),
    (
        r"object_id must be",
        "`scene_gt.json` has no pose of the object, or the scene has no poses of the world.",
        "Take one of its `obj_id`.",
    ),
    (
        r"either lens or ortho_scale",
        "Blender's camera is perspective (`lens`) or orthographic (`ortho_scale`).",
        "Give one of the two: `camera.data.lens`, or `camera.data.ortho_scale`.",
    ),
    (
        r"must not scale an axis to zero",
        "The object's matrix in Blender has a scale of 0, so that it has no rotation.",
        "Apply the object's scale, or set it to 1.",
    ),
    (
        r"near must be given if",
        "The near plane cannot be read from the matrix: it is reversed, infinite in an unusual way, or differs in the batch.",
        "Pass `near=`.",
    ),
    (
        r"intrinsics must have no skew|has no orthographic cameras|intrinsics must have positive focal",
        "The other program cannot express this camera.",
        "Convert what it can: remove the skew, or use another convention's `to_...`.",
    ),
    (
        r"K must have",
        "The intrinsics are not `[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]`: transposed, normalised, or flipped.",
        "Pass K in pixels; flip axes in R and t, not by negative focal lengths.",
    ),
    (
        r"must be a rotation",
        "R is scaled, sheared or mirrored, or has the translation in it, or is the inverse of something else.",
        "Pass the 3 x 3 part, world to camera; orthonormalise it by an SVD if rounding is the cause.",
    ),
    (
        r"\{name\} must not be the zero vector|must not be parallel to numbers",
        "A quaternion, a direction or six numbers that are no rotation: zeros, or two vectors along one line.",
        "Start from other numbers: the quaternion (1, 0, 0, 0), the six numbers (1, 0, 0, 0, 1, 0).",
    ),
    (
        r"eye must differ|up must not",
        "The camera looks nowhere, or straight along `up`.",
        "Move `eye`, or take another `up`, such as (0, 0, 1) for a view from above; `Camera.orbit` has no such poles.",
    ),
    # Meshes and colours
    # Opacity
    (
        r"vertex_opacity and face_opacity must not both|must not have vertex_opacity and face_opacity",
        "A surface has one opacity: of its vertices, interpolated, or of its faces; a batch has one kind.",
        "Keep one. For the vertices of a face, the mean of those of the faces around each is near enough.",
    ),
    (
        r"opacity must be one number",
        "A length other than the number of vertices or of faces; or a batch of different meshes, which have several.",
        "Give (V,) or (B, V), (F,) or (B, F), or one number; `vertex_opacity` or `face_opacity` to each mesh of a batch.",
    ),
    (
        r"to be saved, got colours of the other kind|must be RGB to be saved with",
        "In a file opacity is the fourth channel of the colours, of vertices or of faces.",
        "Give colours and opacity to the same, or leave one out: `mesh.with_vertex_opacity(None)`.",
    ),
    (
        r"path must end in \.gif",
        "A turntable is an animated GIF.",
        "End the path in `.gif`.",
    ),
    (
        r"mesh must be one mesh|mesh must have vertices to be shown",
        "A turntable shows one mesh.",
        "`ts.Mesh(mesh.vertices[i], mesh.faces)` is one of a batch with the same faces, `batch.split()[i]` of a `MeshBatch`.",
    ),
    (
        r"background must not be given with a renderer",
        "A renderer has a background.",
        "`ts.SoftRasterizer(..., background=...)`, or set `renderer.background`.",
    ),
    (
        r"channels to be saved",
        "Image files hold one or three channels.",
        "Save what you select of `image.color`: `replace(image, color=image.color[..., :3])`.",
    ),
    (
        r"for rgba",
        "An image file has colours of one or three channels, and opacity. Here there are no colours, or more of their channels.",
        "Give the mesh colours, or the render `colors=` or `lighting=`. A fourth channel that is opacity goes to `opacity=` of "
        "the render or of the texture. Of other channels save what you select of `image.color`.",
    ),
    (
        r"occlusion must be a FrontToBack for a mesh with opacity",
        "What is behind glass shows only where faces are composited front to back; a reference depth hides it.",
        "`ts.SoftRasterizer(occlusion=ts.FrontToBack())`, of a shipped softness `renderer.occlusion = ts.FrontToBack()`; or `mesh.with_vertex_opacity(None)`, which is opaque.",
    ),
    (
        r"\{name\} must be in \[0, 1\], got",
        "A share below 0 or above 1: an opacity that an optimizer pushed out, or levels from 0 to 255.",
        "Optimise x and give `torch.sigmoid(x)`, or clamp after each step; divide levels by 255.",
    ),
    (
        r"vertex_colors and face_colors must not both",
        "Two kinds of colours on one mesh.",
        "Keep one: `with_vertex_colors` and `with_face_colors` drop the other.",
    ),
    (
        r"colors cannot be given for a batch of different",
        "`colors=` beside a list of meshes.",
        "Colour each mesh: `[m.with_vertex_colors(c) for m, c in ...]`.",
    ),
    (
        r"vertices must keep|must have one entry per mesh|vertex_counts must not exceed",
        "The numbers of vertices, or of meshes, do not agree with the topology.",
        "Change positions only; for another topology make a new `Mesh` or `MeshBatch.from_meshes`.",
    ),
    (
        r"at least one mesh|at least one copy|must hold at least one tensor|must hold at least one ClosedForm",
        "An empty list or an empty batch.",
        "Leave the call out when there is nothing to do.",
    ),
    (
        r"face_objects must not be negative",
        "A number of an object that is less than 0, such as the -1 of a background.",
        "Leave those faces out of the mesh, or give them a number of their own.",
    ),
    (
        r"face_objects is None",
        "Masks of objects are asked for of a mesh that is one object.",
        "Join the meshes: `scene = ts.join([table, cup])`, or give `face_objects`; of one object alpha is the mask.",
    ),
    (
        r"must not be batched|must have the colours of meshes",
        "The meshes of a list are single ones, all coloured in the same way.",
        "`mesh.split()` takes a batch apart; give all of them colours of one kind and number of channels.",
    ),
    # Files
    (
        r"must be an existing file|no such file|must be in an existing folder",
        "The path is wrong, or relative to another folder.",
        "Look at the path in the message; make the folder first.",
    ),
    (
        r"suffix of an image|suffix of a format",
        "The suffix tells the format: this one is none of an image, or its format lacks what is to be saved. JPEG, for instance, has no opacity.",
        "End the path in `.png`.",
    ),
    (
        r"path must end in one of",
        "The suffix tells the format, and this one is not known.",
        "Convert the file, with trimesh, Blender or MeshLab.",
    ),
    (
        r"^mask must|select one label|looks like",
        "The image says of every pixel how bright it is, not where the object is; or it holds labels of several objects.",
        "Give an image that is white (or opaque) where the object is and black elsewhere, for example `labels == 3`.",
    ),
    (
        r"floats must be in|whole numbers must be from|image of one channel|must be a readable image",
        "The file is no image that can be read, or its numbers are in no range that is known.",
        "Save it with 8 or 16 bits, or as floats in [0, 1].",
    ),
    (
        r"a binary file has|is continued, and|^\{where\}|are stated|is stated|header|first (line|word|chunk)|numbers of vertices and"
        r"|must have one length|take \{|bytes more|bytes are|data end|has a list of|the version must|the file (ends|does not)|has two parents"
        r"|of vertex \{|faces need vertices",
        "What a mesh file holds is not what it states, or a line of it is not valid. The message begins with the path.",
        "Get the file again, if it was cut off; else mend the line, or write it anew with another program.",
    ),
    (
        r"requires the extension",
        "The mesh or its images are compressed in a way that is not read.",
        "Write the file without it: with `gltf-transform`, or from Blender without compression.",
    ),
    (
        r"path must hold one material|path must hold an image with one wrap",
        "A `ts.Texture` is one image, with one wrap.",
        "`ts.load_mesh` returns a mesh with all of its materials. Of two wraps `wrap=` chooses one.",
    ),
    (
        r"must have the vertex_data of meshes",
        "A scene has one set of `vertex_data`, which each of its meshes must have, of one dtype.",
        "Give all of them the same names, or leave them out: `dataclasses.replace(mesh, vertex_data=None)`.",
    ),
    (
        r"uv of meshes.*must have no batch axis",
        "Of joined meshes vertices, colours and opacities may have a batch axis, and `uv` may not.",
        "Join the meshes of each image by themselves, and give the renderer the list of these scenes.",
    ),
    (
        r"vertex_data.*to be saved",
        "A PLY file has a column for each of `vertex_data`, and would not give this one back.",
        "Give it a name of one word that is no coordinate, normal or colour, and float32, float64 or whole numbers.",
    ),
    (
        r"must be a PBRMaterial or a SimpleMaterial",
        "One material is taken, of these two kinds.",
        "Give `mesh.visual.material` one material, or write the mesh to a file and read that by `ts.load_mesh`.",
    ),
    (
        r"got a Scene",
        "A scene of trimesh has several meshes, each in its place.",
        "`ts.Mesh.from_trimesh(scene.to_mesh())`, or each of `scene.geometry` by itself.",
    ),
    (
        r"dtype that NumPy has",
        "A mesh of trimesh holds arrays of NumPy, which has no bfloat16.",
        "Convert the tensor: `.float()`.",
    ),
    (
        r"faces must be given for each of",
        "`ts.MeshBatch.from_lists` takes a tensor of vertices and one of faces for each mesh.",
        "Give lists of one length, as `meshes.verts_list()` and `meshes.faces_list()` of PyTorch3D are.",
    ),
    (
        r"alphaMode|must be one of \{list\(table\)|baseColorFactor|buffer \{|bufferView \{|^colours must be|data in a URI|indices of faces must|opacity must be in|place of nodes|the JSON cannot|neither a URI"
        r"|second chunk|there are \{items|triangles must have 3|wrapS and|^\{what\} must be (finite$|there for)",
        "A mesh file, or one that it names, is damaged or missing, or holds numbers that are not valid.",
        "Look at what is named. `ts.load_mesh(path, materials=False)` reads the shape alone; the glTF validator of Khronos checks whole files.",
    ),
    (
        r"path must hold a mesh with vertices|path must be a readable|path must hold finite UV|path must have one image|must hold a mesh with UV|must hold a texture"
        r"|at least one face to be saved",
        "The file is empty or damaged, or lacks what is asked for.",
        "Open it in another program. For textures the image must lie beside the MTL file that the OBJ names, or in the GLB.",
    ),
    (
        r"must be grey|must be in \[0, 1\] to be saved",
        "Mesh files store colours with 8 bits in three or four channels.",
        "Select channels, and clamp or scale to [0, 1].",
    ),
    (
        r"^path: \{path\}|cannot be saved, only|at most \{max_|levels deep|must have a kind and settings|kind must be one of the library"
        r"|JSON|softness must have \{|must hold floating-point numbers|at most \{MAX|could not be loaded again|softness must fit",
        "A file of a softness is damaged, was made by something else, or would hold what cannot be stored safely.",
        "Save again with `softness.save(path)`. Of modules of your own save the `state_dict`, and construct them again.",
    ),
    # Softness
    (
        r"cannot be saved, since its class",
        "A module of your own in `CustomCoverage`: files hold no code.",
        "Save its `state_dict` with torch, and construct it again.",
    ),
    (
        r"module must",
        "A module that is used as a coverage is tried on a few numbers, and this one fails: it mixes numbers, leaves [0, 1], or is "
        "not differentiable twice.",
        "End it in a sigmoid, act on each number alone, and switch dropout and batch normalisation off.",
    ),
    (
        r"weights must be for|weights must be five numbers",
        "A conditioned number has one weight for each feature of a `Situation`.",
        'Name them, `{"edge_length": 1.0}`; those left out are 0. Or give all five, in the order of `Situation`.',
    ),
    (
        r"learn must be given to the Positive",
        "Both a scale and the number that it is made of say whether it is learned.",
        "`ts.Pixels(ts.Positive(0.5, learn=True))`, without `learn` for the scale.",
    ),
    (
        r"weights must be",
        "Weights of a `Mixture` are one per component, not negative, with the sum 1.",
        "Normalise them; when learned they stay so by themselves.",
    ),
    (
        r"knots must hold",
        "A number that runs through others needs two of them, those at the first and at the last step.",
        "Give a list of two or more; for one that stays as it is take a number, `Positive` or `Real`.",
    ),
    (
        r"order must|order\.scale must",
        "This coverage cannot be an order of depths: its width is gamma's, its slope its own, and of two equally deep faces neither may hide the other wholly.",
        "Take a plain curve with a fixed scale that rises around 0: `ts.CubicHermite()`, `ts.Logistic()`, `ts.MonotoneSpline()`; `ts.Heaviside()` for a hard order.",
    ),
    (
        r"give it as softness=",
        "A renderer takes the three functions, or all of them in one `ts.Softness`, by its name.",
        "`ts.SoftRasterizer(softness=softness)`.",
    ),
    (
        r"StraightThrough itself|coverage must",
        "This coverage cannot play that part.",
        "For occlusion take a plain curve that rises below 0, with a fixed scale; its gamma takes the place of the scale.",
    ),
    (
        r"low must be|low and high|kinks must|graded must",
        "The `Domain` of a curve: it is not finite, or its marks lie outside.",
        "Say where the curve is not constant: `Domain(low, high, kinks=...)`.",
    ),
    (
        r"name must be one of the softnesses|gradient must be one of|softness must be given alone",
        "A name that is not known, or the softness given twice.",
        "Take one of the names listed; give `softness=` or coverage, aggregation and occlusion.",
    ),
    # Appearance
    (
        r"^background must",
        "The background has other channels or another size than the image.",
        "A number, one per channel, or an image (H, W, C) or (B, H, W, C) of the size of the render.",
    ),
    (
        r"without materials|materials must hold|must have materials of|channels of materials\[0\]|of the materials, got"
        r"|uv must be given for the image|must not be given without uv",
        "Materials, and what says where they are on a mesh, do not belong together.",
        "`face_materials` needs `materials`, an image needs `uv`; all materials have C channels, and colours of the mesh 1 or C.",
    ),
    (
        r"uv must have|uv_faces must|Texture cannot|image must not be empty|\{name\} must not be empty, got shape",
        "Texture and mesh do not belong together.",
        "One row of `uv` per vertex, or `uv_faces` with three rows of `uv` per face; meshes of a list have materials instead.",
    ),
    (
        r"direction must not|lights and specular",
        "A light without direction, or lights whose channels differ.",
        "The direction points from the surface to the light; give all lights 1 or C channels.",
    ),
    (
        r"image must be given for a batch|number must be given for",
        "`Texture.sample` of a batch of textures has to know which one each coordinate is for.",
        "Pass the index of the image, (N,), beside the coordinates.",
    ),
    # Fitting
    (
        r"the loss must depend on",
        "A parameter is not used in the loss, or `detach`, `numpy`, `item` or a comparison cut the graph.",
        "Compute the loss from what the callable is given, with torch alone; leave out what is not used.",
    ),
    (
        r"must have one row for each of the",
        "The loss has one number per problem, so the first axis of every parameter is the problem's.",
        "Return the mean if the problems are not independent.",
    ),
    (
        r"the loss was never finite",
        "The start is bad already.",
        "Call the loss once by hand; look for a division by zero, a square root or logarithm of 0.",
    ),
    (
        r"parameters must|problem must be|renderer must be given for|optimizer must not|keep must be",
        "`ts.fit` or `ts.multi_start` was called with arguments that do not go together.",
        "`ts.fit(loss, {'x': start}, steps)`, or `ts.fit(task, steps=..., renderer=...)`.",
    ),
    (
        r"mesh must have a face in front",
        "All of the mesh is behind the camera.",
        "Turn or move the camera: +z of the camera is forward; `render.explain(mesh, camera)` counts the faces.",
    ),
    (
        r"there must be snapshots",
        "Snapshots are kept only if asked for.",
        "`ts.fit(..., snapshot_every=2)`.",
    ),
    (
        r"needs matplotlib",
        "An optional package is missing.",
        "`pip install 'taichisoft[train]'`.",
    ),
    (
        r"axes must be four",
        "`Softness.plot` draws four panels.",
        "Give four axes, or none.",
    ),
    # Size and backends
    (
        r"which must be fewer than",
        "The fragments of one row of pixels are composited together, and are numbered with 31 bits.",
        "Render narrower images, or a smaller reach.",
    ),
    (
        r"must give fewer than",
        "More faces or numbers than the kernels can count.",
        "Render fewer images at a time, or smaller ones.",
    ),
    (
        r"needs at least",
        "The request would not fit into the free memory; nothing was allocated.",
        "Fewer or smaller images at a time, a smaller scale (`render.explain` names the fragments), or colours in place of a texture.",
    ),
    (
        r"third derivatives",
        "The kernels have first and second derivatives.",
        "`taichisoft.reference.render` has any order, for small scenes.",
    ),
    (
        r"float64 is not available",
        "Vulkan and Metal have no float64.",
        "`mesh.to(dtype=torch.float32)`, or `ts.init('cpu')`.",
    ),
    (
        r"environment variable \{VARIABLE\} must be one of",
        "`TAICHISOFT_ENGINE` is neither of the two names.",
        "`taichi`, `quadrants`, or nothing, which is Taichi where it is installed.",
    ),
    (
        r"nor quadrants is installed|asks for \{wanted\}",
        "What compiles and runs the kernels is not installed for the Python that runs.",
        "`python -m pip install taichi` (Python 3.10 to 3.13), or `python -m pip install quadrants` (3.10 to 3.14).",
    ),
    (
        r"\{source\} must be one of",
        "A backend that does not exist, from `ts.init` or `TAICHISOFT_BACKEND`.",
        "'cpu', 'cuda', 'vulkan' or 'metal'.",
    ),
    (
        r"cannot be had",
        "The backend was asked for by name and is not there: no driver, no device, or the engine started another one.",
        "`ts.available_backends()` lists what there is; without a name the best is taken. There is no silent fallback.",
    ),
    (
        r"cannot be chosen",
        "Taichi, or quadrants in its place, runs already; it has one backend for each process.",
        "Call `ts.init` first of all, or restart the notebook's kernel.",
    ),
)
