---@meta rtlua

-- Types of rtlua for the Lua language server. Made from the schema by `lua5.4 scripts/docs.lua`: do not edit.

---@alias rtlua.Vector rtlua.Vec|number[]
---@alias rtlua.Color number|number[]|string|rtlua.Vec

---A vector with arithmetic.
---@class rtlua.Vec
---@field x number The first component.
---@field y number The second component.
---@field z number The third component.
---@operator add(rtlua.Vector): rtlua.Vec
---@operator sub(rtlua.Vector): rtlua.Vec
---@operator mul(number|rtlua.Vector): rtlua.Vec
---@operator div(number|rtlua.Vector): rtlua.Vec
---@operator unm: rtlua.Vec
local vector = {}

---The cross product, right-handed.
---@param other rtlua.Vector
---@return rtlua.Vec
function vector:cross(other) end

---The dot product.
---@param other rtlua.Vector
---@return number
function vector:dot(other) end

---The Euclidean length.
---@return number
function vector:length() end

---The same direction with length 1; an error for the zero vector.
---@return rtlua.Vec
function vector:normalize() end

---An affine transform; `*` composes.
---@class rtlua.Transform
---@operator mul(rtlua.Transform): rtlua.Transform
---@operator mul(rtlua.Vector): rtlua.Vec
local transform = {}

---The direction that d becomes: translation does not move it.
---@param d rtlua.Vector
---@return rtlua.Vec
function transform:direction(d) end

---The point that p becomes.
---@param p rtlua.Vector
---@return rtlua.Vec
function transform:point(p) end

---A shape.
---@class rtlua.Shape
local shape = {}

---A new placement of the shape, after its own transform: `blob:at { translate = {1, 0, 0}, scale = 0.5 }`. Geometry is shared.
---@param placement rtlua.Placement
---@return rtlua.Shape
function shape:at(placement) end

---@class rtlua.Material

---@class rtlua.Texture

---@class rtlua.LightSource

---@class rtlua.Background

---@class rtlua.Camera

---A picture in memory, with linear values.
---@class rtlua.Image
---@field width integer Pixels from left to right.
---@field height integer Pixels from top to bottom.
---@field channels integer 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
local image = {}

---An AOV of a render that had it in its `aov`: its values, linear; docs/aovs.md says what each is.
---@param name string
---@return rtlua.Image
function image:aov(name) end

---The linear values of a pixel, one for each channel; (0, 0) is top left.
---@param x integer
---@param y integer
---@return number[]
function image:pixel(x, y) end

---Writes a file, its format told by its extension: .png, .jpg, .exr, .pfm or .hdr. The file is never half written.
---@param path string
---@param options? rtlua.SaveOptions
function image:save(path, options) end

---Sets the linear values of a pixel, one for each channel. An image that a scene uses does not change any more.
---@param x integer
---@param y integer
---@param values number[]
function image:set(x, y, values) end

---A render under way.
---@class rtlua.Job
local job = {}

---Stops the job and frees it; `local job <close> = scene:start()` does it at the end of a block.
function job:close() end

---The picture so far.
---@return rtlua.Image
function job:image() end

---How far it is.
---@return rtlua.Progress
function job:progress() end

---Asks the job to stop; what is in the film stays.
function job:stop() end

---Waits until the job is done, at most some seconds; true when it is done.
---@param seconds? number
---@return boolean
function job:wait(seconds) end

---A committed scene.
---@class rtlua.Scene
local scene = {}

---Counts of shapes, instances, groups, triangles, placed_triangles, placed_primitives, lights, materials, textures; bounds, bytes, build_seconds.
---@return table
function scene:describe() end

---SHA-256 of geometry, materials, lights, camera and the contents of files; render options are not part of it.
---@return string
function scene:hash() end

---The nearest hit of a ray, { t, point, normal, shading_normal, uv, shape }, shape being its name; nil when there is none.
---@param ray rtlua.Ray
---@return rtlua.Hit?
function scene:intersect(ray) end

---Renders and returns the image; options win over the scene's render table. on_progress(progress) is called ten times a second.
---@param options? rtlua.RenderCall
---@return rtlua.Image
function scene:render(options) end

---Starts rendering on threads of its own and returns a job at once.
---@param options? rtlua.RenderCall
---@return rtlua.Job
function scene:start(options) end

---How far a render is.
---@class rtlua.Progress
---@field done boolean All samples are taken, or the job was stopped.
---@field fraction number samples / total.
---@field samples integer Pixel samples in the picture.
---@field total integer Pixel samples that it will have.
---@field made integer Pixel samples taken since the start: less than samples where it was resumed.
---@field rays integer Rays traced.
---@field seconds number Since the start.
---@field left number? Seconds left, estimated.
---@field noise number? Estimated relative standard error of a pixel, root mean square.
---@field not_finite integer Samples dropped because they were NaN or infinite.
---@field overflow integer Samples too bright for the film.
---@field film_bytes integer Memory for the film's pixels.

---What a ray met.
---@class rtlua.Hit
---@field t number In lengths of the ray's direction.
---@field point rtlua.Vec Where.
---@field normal rtlua.Vec The surface's outward normal.
---@field shading_normal rtlua.Vec The interpolated normal.
---@field uv number[] Texture coordinates.
---@field shape string? The name of the shape, or of the nearest named one around it.

---What scene:intersect takes.
---@class rtlua.Ray
---@field origin rtlua.Vector Where the ray starts.
---@field direction rtlua.Vector Where it goes; t is in lengths of it.
---@field tnear? number Hits are beyond this t. Default: 0.
---@field tfar? number Hits are at most at this t. Default: math.huge.

---How a scene is rendered. Every field is an option of the command too, which wins.
---@class rtlua.RenderOptions
---@field size? number[] Width and height in pixels. Default: {800, 600}.
---@field spp? integer Samples per pixel. Default: 64.
---@field samples? number[] Renders these sample indices alone, from the first to before the second, instead of 0 to spp.
---@field crop? number[] Renders a part alone: pixels from (x0, y0) to before (x1, y1), counted from top left.
---@field threads? integer Threads; as many as the process may use when absent.
---@field seed? integer Another seed gives another, independent noise. Default: 0.
---@field max_depth? number Bounces of a path; 0 is emission alone; math.huge (inf on the command line) has no limit. Default: 16.
---@field filter? "box"|"gaussian"|"blackman-harris" The pixel filter. Default: "blackman-harris".
---@field clamp_indirect? number The largest radiance of a sample's indirect part: less noise for some light lost; 0 is off. Default: 0.
---@field transparent? boolean The background is alpha 0 to the camera. Default: false.
---@field exposure? number Exposure in EV: display formats multiply by 2^exposure. Default: 0.
---@field white_balance? number|number[] The light that is to look white, of display formats: a black body's temperature in kelvin, and a tint (above 0: greener than it, by 1/3000 of CIE 1960's u, v). No adaptation when absent.
---@field tonemap? "none"|"agx"|"aces"|"filmic" Tone curve of display formats; none only clips. Default: "none".
---@field bits? 8|16 Bits for each channel of a PNG. Default: 8.
---@field dither? boolean Hides the bands of slow gradients in 8 bits (PNG, JPEG) by an even pattern; what 8 bits hold exactly stays. Default: true.
---@field quality? integer Quality of a JPEG. Default: 95.
---@field exr_type? "half"|"float" Type of an EXR's colours: half (11 bits, at most 65504) or float. Data are float, ids uint. Default: "half".
---@field exr_compression? "zip"|"zips"|"none" Compression of an EXR, always without loss: blocks of 16 lines or of 1. Default: "zip".
---@field aov? string|string[] What is kept of the samples besides radiance; docs/aovs.md says what each is.
---@field noise? number A pixel takes no more samples when the relative error of its luminance is estimated to be below this.
---@field denoise? "off"|"builtin"|"oidn" Takes the noise away in the end (docs/denoising.md): builtin, exact; or oidn, Intel's Open Image Denoise. Default: "off".
---@field time_limit? number|string Stops after this time with what is there: seconds, "90s", "2m", "1h". The command counts from its start.
---@field output? string|string[] Names of the pictures that the command writes in the working directory; SCENE.png when absent.
---@field checkpoint? string A part file that holds the render so far: written every so often and at every stop.
---@field resume? boolean Goes on from the checkpoint, where there is one; with a higher spp it adds samples. Default: false.
---@field quiet? boolean Shows no progress. Default: false.
---@field json? boolean Prints events as JSON lines on standard output (standard error when -o - takes that) instead of progress. Default: false.
---@field stats? boolean Reports triangles, build time, memory, rays per second and dropped samples on standard error. Default: false.

---Render options of one call.
---@class rtlua.RenderCall
---@field size? number[] Width and height in pixels. Default: {800, 600}.
---@field spp? integer Samples per pixel. Default: 64.
---@field samples? number[] Renders these sample indices alone, from the first to before the second, instead of 0 to spp.
---@field crop? number[] Renders a part alone: pixels from (x0, y0) to before (x1, y1), counted from top left.
---@field threads? integer Threads; as many as the process may use when absent.
---@field seed? integer Another seed gives another, independent noise. Default: 0.
---@field max_depth? number Bounces of a path; 0 is emission alone; math.huge (inf on the command line) has no limit. Default: 16.
---@field filter? "box"|"gaussian"|"blackman-harris" The pixel filter. Default: "blackman-harris".
---@field clamp_indirect? number The largest radiance of a sample's indirect part: less noise for some light lost; 0 is off. Default: 0.
---@field transparent? boolean The background is alpha 0 to the camera. Default: false.
---@field exposure? number Exposure in EV: display formats multiply by 2^exposure. Default: 0.
---@field white_balance? number|number[] The light that is to look white, of display formats: a black body's temperature in kelvin, and a tint (above 0: greener than it, by 1/3000 of CIE 1960's u, v). No adaptation when absent.
---@field tonemap? "none"|"agx"|"aces"|"filmic" Tone curve of display formats; none only clips. Default: "none".
---@field bits? 8|16 Bits for each channel of a PNG. Default: 8.
---@field dither? boolean Hides the bands of slow gradients in 8 bits (PNG, JPEG) by an even pattern; what 8 bits hold exactly stays. Default: true.
---@field quality? integer Quality of a JPEG. Default: 95.
---@field exr_type? "half"|"float" Type of an EXR's colours: half (11 bits, at most 65504) or float. Data are float, ids uint. Default: "half".
---@field exr_compression? "zip"|"zips"|"none" Compression of an EXR, always without loss: blocks of 16 lines or of 1. Default: "zip".
---@field aov? string|string[] What is kept of the samples besides radiance; docs/aovs.md says what each is.
---@field noise? number A pixel takes no more samples when the relative error of its luminance is estimated to be below this.
---@field denoise? "off"|"builtin"|"oidn" Takes the noise away in the end (docs/denoising.md): builtin, exact; or oidn, Intel's Open Image Denoise. Default: "off".
---@field time_limit? number|string Stops after this time with what is there: seconds, "90s", "2m", "1h". The command counts from its start.
---@field output? string|string[] Names of the pictures that the command writes in the working directory; SCENE.png when absent.
---@field checkpoint? string A part file that holds the render so far: written every so often and at every stop.
---@field resume? boolean Goes on from the checkpoint, where there is one; with a higher spp it adds samples. Default: false.
---@field quiet? boolean Shows no progress. Default: false.
---@field json? boolean Prints events as JSON lines on standard output (standard error when -o - takes that) instead of progress. Default: false.
---@field stats? boolean Reports triangles, build time, memory, rays per second and dropped samples on standard error. Default: false.
---@field on_progress? fun(progress: rtlua.Progress) Called with the progress ten times a second; scene:render.

---How a picture is encoded.
---@class rtlua.SaveOptions
---@field exposure? number Exposure in EV: display formats multiply by 2^exposure. Default: 0.
---@field white_balance? number|number[] The light that is to look white, of display formats: a black body's temperature in kelvin, and a tint (above 0: greener than it, by 1/3000 of CIE 1960's u, v). No adaptation when absent.
---@field tonemap? "none"|"agx"|"aces"|"filmic" Tone curve of display formats; none only clips. Default: "none".
---@field bits? 8|16 Bits for each channel of a PNG. Default: 8.
---@field dither? boolean Hides the bands of slow gradients in 8 bits (PNG, JPEG) by an even pattern; what 8 bits hold exactly stays. Default: true.
---@field quality? integer Quality of a JPEG. Default: 95.
---@field exr_type? "half"|"float" Type of an EXR's colours: half (11 bits, at most 65504) or float. Data are float, ids uint. Default: "half".
---@field exr_compression? "zip"|"zips"|"none" Compression of an EXR, always without loss: blocks of 16 lines or of 1. Default: "zip".

---What shape:at takes.
---@class rtlua.Placement
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---@class rtlua
---@field version string The version of rtlua.
local rt = {}

---@class rtlua.SphereFields
---@field center? rtlua.Vector Its centre. Default: {0, 0, 0}.
---@field radius? number Radius, scene units. Default: 1.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A sphere; its normal points outwards.
---@param fields? rtlua.SphereFields
---@return rtlua.Shape
function rt.sphere(fields) end

---@class rtlua.QuadFields
---@field [1] rtlua.Vector First corner.
---@field [2] rtlua.Vector Second corner.
---@field [3] rtlua.Vector Third corner.
---@field [4] rtlua.Vector Fourth corner.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A quadrilateral A B C D: the triangles A B C and A C D. The normal is on the side from which A, B, C, D go counter-clockwise.
---@param fields? rtlua.QuadFields
---@return rtlua.Shape
function rt.quad(fields) end

---@class rtlua.TriangleFields
---@field [1] rtlua.Vector First corner.
---@field [2] rtlua.Vector Second corner.
---@field [3] rtlua.Vector Third corner.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A triangle A B C. The normal is on the side from which A, B, C go counter-clockwise.
---@param fields? rtlua.TriangleFields
---@return rtlua.Shape
function rt.triangle(fields) end

---@class rtlua.DiskFields
---@field center? rtlua.Vector Its centre. Default: {0, 0, 0}.
---@field normal? rtlua.Vector The direction that it faces, of any length. Default: {0, 1, 0}.
---@field radius? number Radius, scene units. Default: 1.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A flat disk.
---@param fields? rtlua.DiskFields
---@return rtlua.Shape
function rt.disk(fields) end

---@class rtlua.PlaneFields
---@field point? rtlua.Vector A point on it. Default: {0, 0, 0}.
---@field normal? rtlua.Vector The direction that it faces, of any length. Default: {0, 1, 0}.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---An infinite plane.
---@param fields? rtlua.PlaneFields
---@return rtlua.Shape
function rt.plane(fields) end

---@class rtlua.BoxFields
---@field min? rtlua.Vector The corner with the least x, y and z. Default: {-1, -1, -1}.
---@field max? rtlua.Vector The corner with the greatest x, y and z. Default: {1, 1, 1}.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A box along the axes, from its lowest to its highest corner; turn it by rotate or transform. Normals point outwards.
---@param fields? rtlua.BoxFields
---@return rtlua.Shape
function rt.box(fields) end

---@class rtlua.CylinderFields
---@field from? rtlua.Vector The centre of one end. Default: {0, 0, 0}.
---@field to? rtlua.Vector The centre of the other end. Default: {0, 1, 0}.
---@field radius? number Radius, scene units. Default: 1.
---@field caps? boolean Closed by disks at both ends. Default: true.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A circular cylinder; normals point outwards.
---@param fields? rtlua.CylinderFields
---@return rtlua.Shape
function rt.cylinder(fields) end

---@class rtlua.MeshFields
---@field file? string An OBJ or PLY file, relative to the script. Polygons are cut into fans.
---@field vertices? number[]|number[][] Positions, as a flat array of numbers or an array of {x, y, z}.
---@field indices? number[]|number[][] Three vertices for each triangle, counted from 1.
---@field normals? number[]|number[][] Shading normals, one for each vertex; flat triangles without them.
---@field uvs? number[]|number[][] Texture coordinates, one pair for each vertex; the origin is bottom left.
---@field materials? table<string|integer, rtlua.Material> Materials by an OBJ's usemtl names, or a list that material_ids counts into. Names that it leaves out are made of `material`, which must then be given.
---@field material_ids? integer[] For each triangle, which of `materials` it is made of, counted from 1.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A triangle mesh, from an OBJ or PLY file or from Lua. Triangles are counter-clockwise seen from outside.
---@param fields? rtlua.MeshFields
---@return rtlua.Shape
function rt.mesh(fields) end

---@class rtlua.GroupFields
---@field [integer] rtlua.Shape|rtlua.LightSource Shapes and lights.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---Shapes and lights that are placed together. Its material is for those inside that have none. A group that stands in several places is stored once. Placements nest up to 8 deep; a group without one, without a name, that stands once does not count.
---@param fields? rtlua.GroupFields
---@return rtlua.Shape
function rt.group(fields) end

---@class rtlua.InstanceFields
---@field [1] rtlua.Shape The shape that is placed.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---A placement of a shape that shares its geometry: placed after the shape's own transform. Its material is for what has none inside. Placements nest up to 8 deep.
---@param fields? rtlua.InstanceFields
---@return rtlua.Shape
function rt.instance(fields) end

---@class rtlua.InstancesFields
---@field [1] rtlua.Shape The shape that is placed.
---@field count integer How many.
---@field [2] fun(i: integer): rtlua.Transform|number[]|rtlua.Placement Is called with 1 to `count` and returns the placement of that instance: a transform, 12 or 16 numbers as rt.matrix has them (the fastest), or { scale, rotate, translate }.
---@field material? rtlua.Material What it is made of; 80 % grey diffuse when neither it nor a group around it has one.
---@field name? string What scene:intersect calls it.
---@field visible? boolean false hides it from camera rays alone: it still lights and is reflected. Default: true.
---@field transform? rtlua.Transform Places the shape; instead of scale, rotate and translate.
---@field scale? number|rtlua.Vector Scales about the origin, before rotate and translate.
---@field rotate? { [1]: rtlua.Vector, [2]: number } Turns about an axis through the origin by an angle in degrees: { axis, degrees }.
---@field translate? rtlua.Vector Moves, after scale and rotate.

---Many instances of a shape, as if each were an rt.instance, in the memory of their transforms alone: 96 bytes each where they are more than a million, else 192.
---@param fields? rtlua.InstancesFields
---@return rtlua.Shape
function rt.instances(fields) end

---@class rtlua.DiffuseFields
---@field color? rtlua.Color|rtlua.Texture|rtlua.Image The part of the light that it reflects. Default: 0.8.
---@field emission? rtlua.Color|rtlua.Texture|rtlua.Image Radiance that leaves both sides, W/(m² sr); none when absent.

---Lambert's ideal matte surface.
---@param fields? rtlua.DiffuseFields
---@return rtlua.Material
function rt.diffuse(fields) end

---@class rtlua.MirrorFields
---@field color? rtlua.Color|rtlua.Texture|rtlua.Image The part of the light that it reflects. Default: 1.
---@field emission? rtlua.Color|rtlua.Texture|rtlua.Image Radiance that leaves both sides, W/(m² sr); none when absent.

---A perfect mirror with the same reflectance at every angle.
---@param fields? rtlua.MirrorFields
---@return rtlua.Material
function rt.mirror(fields) end

---@class rtlua.MetalFields
---@field preset? "aluminium"|"copper"|"gold"|"iron"|"silver" A metal by name, from measured eta and k.
---@field eta? rtlua.Color|rtlua.Texture|rtlua.Image The real part of the refractive index, for red, green and blue.
---@field k? rtlua.Color|rtlua.Texture|rtlua.Image The imaginary part of the refractive index.
---@field color? rtlua.Color|rtlua.Texture|rtlua.Image Reflectance at normal incidence, with Schlick's curve.
---@field roughness? number|rtlua.Texture|rtlua.Image Perceptual roughness, alpha = roughness²; 0, smooth, when neither is given.
---@field alpha? number|rtlua.Texture|rtlua.Image GGX's alpha itself, instead of roughness.
---@field emission? rtlua.Color|rtlua.Texture|rtlua.Image Radiance that leaves both sides, W/(m² sr); none when absent.

---A conductor with GGX roughness: a preset measured metal, eta and k with exact Fresnel, or a colour with Schlick's curve.
---@param fields? rtlua.MetalFields
---@return rtlua.Material
function rt.metal(fields) end

---@class rtlua.GlassFields
---@field ior? number|rtlua.Texture|rtlua.Image Refractive index of the inside against the outside. Default: 1.5.
---@field color? rtlua.Color|rtlua.Texture|rtlua.Image Tints what goes through, at each crossing of the surface. Default: 1.
---@field roughness? number|rtlua.Texture|rtlua.Image Perceptual roughness, alpha = roughness²; 0, smooth, when neither is given.
---@field alpha? number|rtlua.Texture|rtlua.Image GGX's alpha itself, instead of roughness.
---@field emission? rtlua.Color|rtlua.Texture|rtlua.Image Radiance that leaves both sides, W/(m² sr); none when absent.

---A dielectric, smooth or with GGX roughness, with exact Fresnel. Its surface should be closed and its normals point outwards.
---@param fields? rtlua.GlassFields
---@return rtlua.Material
function rt.glass(fields) end

---@class rtlua.PlasticFields
---@field color? rtlua.Color|rtlua.Texture|rtlua.Image Reflectance of the base. Default: 0.8.
---@field ior? number|rtlua.Texture|rtlua.Image Refractive index of the coat. Default: 1.5.
---@field roughness? number|rtlua.Texture|rtlua.Image Perceptual roughness, alpha = roughness²; 0, smooth, when neither is given.
---@field alpha? number|rtlua.Texture|rtlua.Image GGX's alpha itself, instead of roughness.
---@field emission? rtlua.Color|rtlua.Texture|rtlua.Image Radiance that leaves both sides, W/(m² sr); none when absent.

---A clear dielectric coat over a diffuse base.
---@param fields? rtlua.PlasticFields
---@return rtlua.Material
function rt.plastic(fields) end

---@class rtlua.LightFields
---@field radiance? number Radiance, W/(m² sr), times color; 1 when neither it nor power is given.
---@field power? number Flux of each placed copy in W per channel, all emitting sides together, times color; instead of radiance.
---@field color? rtlua.Color|rtlua.Texture|rtlua.Image Multiplies radiance or power; a kelvin colour has luminance 1. A power needs a plain colour, no texture. Default: 1.
---@field two_sided? boolean Emits on both sides. Default: false.

---A surface that emits and reflects nothing. It emits on the side of its normal, or on both.
---@param fields? rtlua.LightFields
---@return rtlua.Material
function rt.light(fields) end

---@class rtlua.TwoSidedFields
---@field front rtlua.Material On the side of the normal.
---@field back rtlua.Material On the other side.
---@field emission? rtlua.Color|rtlua.Texture|rtlua.Image Radiance that leaves both sides, W/(m² sr); none when absent.

---A material for each side of a surface.
---@param fields? rtlua.TwoSidedFields
---@return rtlua.Material
function rt.two_sided(fields) end

---@class rtlua.MixFields
---@field a rtlua.Material The material where amount is 0.
---@field b rtlua.Material The material where amount is 1.
---@field amount? number|rtlua.Texture|rtlua.Image The weight of b; a has the rest. Default: 0.5.
---@field emission? rtlua.Color|rtlua.Texture|rtlua.Image Radiance that leaves both sides, W/(m² sr); none when absent.

---A blend of two materials.
---@param fields? rtlua.MixFields
---@return rtlua.Material
function rt.mix(fields) end

---@class rtlua.CheckerFields
---@field [1] rtlua.Color|rtlua.Texture|rtlua.Image The even squares.
---@field [2] rtlua.Color|rtlua.Texture|rtlua.Image The odd squares.
---@field scale? number|number[] Squares over a unit of u and v: a number, or one for each. Default: 1.

---A checkerboard by uv of two colours or textures: `rt.checker { 0.8, "#a11212", scale = 4 }`.
---@param fields? rtlua.CheckerFields
---@return rtlua.Texture
function rt.checker(fields) end

---@class rtlua.PointFields
---@field position rtlua.Vector Where it is.
---@field intensity? number Radiant intensity, W/sr. Default: 1.
---@field color? rtlua.Color Multiplies the strength; a kelvin colour has luminance 1. Default: 1.

---A light that shines from a point in all directions.
---@param fields? rtlua.PointFields
---@return rtlua.LightSource
function rt.point(fields) end

---@class rtlua.SpotFields
---@field position rtlua.Vector Where it is.
---@field direction? rtlua.Vector Where it points, of any length. Default: {0, -1, 0}.
---@field intensity? number Radiant intensity along its axis, W/sr. Default: 1.
---@field angle? number The cone's full angle, degrees. Default: 45.
---@field blend? number The part of the cone's half angle over which it fades to its edge. Default: 0.15.
---@field color? rtlua.Color Multiplies the strength; a kelvin colour has luminance 1. Default: 1.

---A light that shines from a point into a cone.
---@param fields? rtlua.SpotFields
---@return rtlua.LightSource
function rt.spot(fields) end

---@class rtlua.SunFields
---@field direction? rtlua.Vector Towards the sun, of any length. Default: {0, 1, 0}.
---@field irradiance? number Irradiance on a surface that faces it, W/m². Default: 1.
---@field angle? number Full angle of its disk, degrees (the real one: 0.53); 0 casts sharp shadows. Default: 0.
---@field color? rtlua.Color Multiplies the strength; a kelvin colour has luminance 1. Default: 1.

---Light from a direction: a disk at infinity.
---@param fields? rtlua.SunFields
---@return rtlua.LightSource
function rt.sun(fields) end

---@class rtlua.EnvmapFields
---@field file string A picture, relative to the script.
---@field scale? number Multiplies its radiance. Default: 1.
---@field rotate? number Turns it about +y, degrees. Default: 0.

---An environment from a latitude-longitude picture: `background = rt.envmap "sky.hdr"`. Its middle is towards -z, its upper edge is +y.
---@param fields rtlua.EnvmapFields|string
---@return rtlua.Background
function rt.envmap(fields) end

---@class rtlua.CameraFields
---@field type? "perspective"|"orthographic" How it projects. Default: "perspective".
---@field from rtlua.Vector Where it stands.
---@field to? rtlua.Vector What it looks at. Default: {0, 0, 0}.
---@field up? rtlua.Vector What is up in the picture. Default: {0, 1, 0}.
---@field fov? number Vertical field of view, degrees; perspective. Default: 40.
---@field height? number What an orthographic camera sees from top to bottom, scene units.
---@field aperture? number Radius of the lens, scene units; 0 is a pinhole, sharp everywhere. Default: 0.
---@field focus? number Distance along the axis at which it is sharp; |to - from| when absent.

---The camera: perspective with a thin lens, or orthographic.
---@param fields? rtlua.CameraFields
---@return rtlua.Camera
function rt.camera(fields) end

---@class rtlua.SceneFields
---@field [integer] rtlua.Shape|rtlua.LightSource Shapes and lights.
---@field camera rtlua.Camera The camera.
---@field background? rtlua.Color|{ top: rtlua.Color, bottom: rtlua.Color }|rtlua.Background What rays meet that leave the scene: a colour, { top = ..., bottom = ... } or rt.envmap; black when absent. Default: 0.
---@field render? rtlua.RenderOptions Render options.

---A scene: a camera, a background, render options, and shapes and lights as elements. A script ends with `return rt.scene { ... }`.
---@param fields? rtlua.SceneFields
---@return rtlua.Scene
function rt.scene(fields) end

---@class rtlua.ImageFields
---@field file string A picture, relative to the script.
---@field scale? number|number[] How often it repeats over a unit of u and v: a number, or one for each. Default: 1.
---@field raw? boolean The file's numbers are data and not sRGB colours. Default: false.

---A picture as a texture by uv, bilinear and repeated: `rt.image "wood.png"`.
---@class rtlua.ImageLibrary
---@overload fun(fields: rtlua.ImageFields|string): rtlua.Texture
rt.image = {}

---Reads a PNG, JPEG, EXR, HDR or PFM file, relative to the script; `raw` leaves its numbers as they are.
---@param path string
---@param raw? boolean
---@return rtlua.Image
function rt.image.load(path, raw) end

---A black image of 1 to 4 channels, 3 unless said.
---@param width integer
---@param height integer
---@param channels? integer
---@return rtlua.Image
function rt.image.new(width, height, channels) end

---How far a is from the reference b: mean squared error, relative mean squared error, PSNR in dB (inf when equal), SSIM (1 when equal) and FLIP (0 when equal); the last three of what a display shows.
---@param a rtlua.Image
---@param b rtlua.Image
---@return { mse: number, relmse: number, psnr: number, ssim: number, flip: number }
function rt.image.compare(a, b) end

---Moves by a vector: `rt.translate(x, y, z)` or `rt.translate { x, y, z }`.
---@param x number|rtlua.Vector
---@param y? number
---@param z? number
---@return rtlua.Transform
function rt.translate(x, y, z) end

---Scales about the origin: by one factor, `rt.scale(s)`, or by one for each axis, `rt.scale(x, y, z)` or `rt.scale { x, y, z }`.
---@param x number|rtlua.Vector
---@param y? number
---@param z? number
---@return rtlua.Transform
function rt.scale(x, y, z) end

---Turns about the x axis by an angle in degrees, counter-clockwise seen from the axis' tip.
---@param degrees number
---@return rtlua.Transform
function rt.rotate_x(degrees) end

---Turns about the y axis by an angle in degrees, counter-clockwise seen from the axis' tip.
---@param degrees number
---@return rtlua.Transform
function rt.rotate_y(degrees) end

---Turns about the z axis by an angle in degrees, counter-clockwise seen from the axis' tip.
---@param degrees number
---@return rtlua.Transform
function rt.rotate_z(degrees) end

---Turns about any axis by an angle in degrees: `rt.rotate(axis, degrees)` or `rt.rotate { axis, degrees }`.
---@param axis rtlua.Vector|table
---@param degrees? number
---@return rtlua.Transform
function rt.rotate(axis, degrees) end

---A matrix of 16 numbers, row-major, for column vectors; its last row is 0, 0, 0, 1.
---@param numbers number[]
---@return rtlua.Transform
function rt.matrix(numbers) end

---Object to world: puts the origin at `from` and turns -z towards `to`, with y as near to `up` ({0, 1, 0}) as it can be: `rt.look_at(from, to, up)` or `rt.look_at { from = ..., to = ..., up = ... }`.
---@param from rtlua.Vector|{ from: rtlua.Vector, to: rtlua.Vector, up?: rtlua.Vector }
---@param to? rtlua.Vector
---@param up? rtlua.Vector
---@return rtlua.Transform
function rt.look_at(from, to, up) end

---A vector with arithmetic: `rt.vec(x, y, z)` or `rt.vec { x, y, z }`. +, -, * and / work by component, * and / with numbers too; fields x, y and z can be read and set.
---@param x number|rtlua.Vector
---@param y? number
---@param z? number
---@return rtlua.Vec
function rt.vec(x, y, z) end

---Parameters of a scene and their defaults, `rt.params { turn = 0 }`: `-D turn=30` on the command line sets one, as a value of its default's type (a number, a string, true or false, or a list of numbers).
---@param defaults table<string, number|string|boolean|number[]>
---@return table<string, any>
function rt.params(defaults) end

return rt
