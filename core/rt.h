/* rtlua's C core: the one public header.
 *
 * Conventions
 *   - A function that can fail returns rt_status, its result first and the error last. On failure the result is NULL
 *     or untouched and `err` holds one line that says what is wrong and what to do.
 *   - Handles are opaque. X_free(NULL) does nothing. Meshes and images are reference counted: a scene keeps what it
 *     uses.
 *   - Lengths are scene units, angles degrees, colours linear Rec. 709, y up, right-handed, pixel (0, 0) at top left.
 *   - The core never exits, prints or reads the environment, and knows nothing of Lua. */
#ifndef RT_H
#define RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of rtlua: the only place where it is written. */
#define RT_VERSION "0.1.0"

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

/* The status of a call is the exit code of sysexits.h that it would end the command with. */
typedef enum {
  RT_OK = 0,
  RT_BAD_USAGE = 64,   /* an argument or option is wrong */
  RT_BAD_DATA = 65,    /* the scene or an input file is wrong */
  RT_NO_INPUT = 66,    /* an input file is missing */
  RT_UNAVAILABLE = 69, /* a server, program or service that is needed is not there or failed */
  RT_BUG = 70,         /* should not happen */
  RT_NO_MEMORY = 71,   /* the system refused memory or a thread */
  RT_CANT_WRITE = 73,  /* the output cannot be written */
  RT_TRY_AGAIN = 75,   /* not now: what may pass, such as a held lock or a time limit */
} rt_status;

typedef struct {
  rt_status code;
  char message[1024]; /* one line, no newline at its end: "FILE:LINE: what is wrong: what to do" */
} rt_error;

/* ---- Values ------------------------------------------------------------------------------------------------------ */

typedef struct {
  float x, y, z;
} rt_vec3;
typedef rt_vec3 rt_rgb; /* x, y, z are red, green, blue */
/* Rows of an affine map for column vectors: x' = m[0][0] x + m[0][1] y + m[0][2] z + m[0][3]. */
typedef struct {
  double m[3][4];
} rt_affine;
typedef struct {
  rt_vec3 min, max;
} rt_bounds; /* empty: min > max */

#define RT_NONE UINT32_MAX /* no texture, no material, no shape */

/* ---- Images ------------------------------------------------------------------------------------------------------ */

typedef struct rt_image rt_image;

/* A blank image: `channels` is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA); sides are 1 to 65,536; rows go from
 * top to bottom, values are linear floats. */
rt_status rt_image_new(rt_image **out, int width, int height, int channels, rt_error *err);
/* PNG, JPEG, OpenEXR, Radiance HDR or PFM, told by its content. Integer files are decoded from sRGB unless `raw`. Of an
 * EXR: R, G, B and A, or Y, or its only channel; the data window, placed in the display window. */
rt_status rt_image_load(rt_image **out, const char *path, bool raw, rt_error *err);
/* Of an EXR a layer, as rt_image_save_layers names it; two channels such as U and V become three with zeros.
 * RT_BAD_DATA where there is none of that name. */
rt_status rt_image_load_layer(rt_image **out, const char *path, const char *layer, rt_error *err);
rt_status rt_image_copy(rt_image **out, const rt_image *image, rt_error *err);
rt_image *rt_image_ref(rt_image *image);
void rt_image_free(rt_image *image);
int rt_image_width(const rt_image *image);
int rt_image_height(const rt_image *image);
int rt_image_channels(const rt_image *image);
float *rt_image_pixels(rt_image *image); /* width * height * channels floats */
const float *rt_image_view(const rt_image *image);

/* Where an image lies in a whole picture of full[0] by full[1] pixels: its top left pixel is the picture's pixel
 * (origin[0], origin[1]). A new image is a whole picture. An EXR's windows say it, and dithering follows it. */
typedef struct {
  int origin[2], full[2];
} rt_placement;
void rt_image_place(rt_image *image, rt_placement placement);
rt_placement rt_image_placement(const rt_image *image);

/* OpenEXR's standard attributes of these names: matrices for row vectors (p' = p m, element [row][column]). Camera
 * space is left-handed, +z is where the camera looks; NDC is (0, 0) at the whole picture's top left corner and (1, 1)
 * at its bottom right, after the division by w. */
typedef struct {
  float world_to_camera[4][4], world_to_ndc[4][4];
} rt_camera_matrices;
void rt_image_set_camera(rt_image *image, const rt_camera_matrices *matrices);

/* core/image/tonemap.c says what they are. */
typedef enum { RT_TONEMAP_NONE, RT_TONEMAP_AGX, RT_TONEMAP_ACES, RT_TONEMAP_FILMIC } rt_tonemap;
typedef enum { RT_EXR_HALF, RT_EXR_FLOAT } rt_exr_type;
typedef enum { RT_EXR_ZIP, RT_EXR_ZIPS, RT_EXR_NONE } rt_exr_compression; /* deflate of 16 lines, of 1 line */
typedef struct {
  const char *key, *value;
} rt_text;
/* Display formats are PNG and JPEG; EXR, PFM and HDR hold the linear values, which exposure, white balance and tone
 * curve leave alone. */
typedef struct {
  float exposure; /* EV: display formats multiply by 2^exposure */
  rt_tonemap tonemap;
  bool white_balance;
  double white_matrix[9]; /* white_balance: rows of what linear Rec. 709 is multiplied by before the tone curve */
  int bits;               /* PNG: 8 or 16 */
  bool dither;            /* 8 bits */
  int quality;            /* JPEG: 1 to 100 */
  rt_exr_type exr_type;   /* of colours; data are float, ids uint */
  rt_exr_compression exr_compression;
  const rt_text *text; /* PNG: tEXt chunks, Latin-1; EXR: string attributes */
  size_t n_text;
} rt_save_options;
#define RT_SAVE_OPTIONS_INIT                                                                                           \
  { .bits = 8, .dither = true, .quality = 95 }

/* Writes by the extension of `path` (.png, .jpg, .jpeg, .exr, .pfm, .hdr): temporary name in the same folder, fsync,
 * rename. Alpha is taken as premultiplied and stored unpremultiplied in PNG; JPEG and PFM leave it out. */
rt_status rt_image_save(const rt_image *image, const char *path, const rt_save_options *options, rt_error *err);
/* RT_CANT_WRITE or RT_BAD_USAGE now instead of after an hour of rendering: is there a writer for the extension, and
 * may a file be made there? Leaves nothing behind. */
rt_status rt_image_can_save(const char *path, rt_error *err);
/* PNG to an open file descriptor (standard output). */
rt_status rt_image_write_png(const rt_image *image, int fd, const rt_save_options *options, rt_error *err);

typedef struct {
  const char *name;     /* "" is the picture itself */
  const char *channels; /* one letter each: "RGBA", "RGB", "XYZ", "Z", "UV", "I" */
  const rt_image *image;
} rt_layer;
/* Several images of one size and place as one EXR: channel "R" of the layer "", "albedo.R" of the layer "albedo". A
 * layer "depth" of the channel "Z" is the channel "Z", which compositors look for. Layers of R, G, B, A and Y have
 * options->exr_type, "I" (ids: whole, not negative) is uint, all else float. Other extensions hold one layer:
 * RT_BAD_USAGE for more. */
rt_status rt_image_save_layers(const rt_layer *layers, int count, const char *path, const rt_save_options *options,
                               rt_error *err);

/* Data as a picture to look at, whose display codes are in [0, 1]: "signed" v / 2 + 1/2, "distance" 1 / (1 + v),
 * "fraction" v - floor v, "root" the square root, "doublings" log2(v) / 24, "number" a colour for each. */
rt_status rt_image_show(rt_image **out, const rt_image *image, const char *way, rt_error *err);

/* The versions of the libraries that this build has for EXR and JPEG; NULL: none, and loading or saving such a file is
 * RT_UNAVAILABLE. */
const char *rt_openexr_version(void);
const char *rt_libjpeg_version(void);

typedef struct {
  double mse, relmse, psnr;
} rt_difference;
/* mse: mean of (a-b)^2 over pixels and channels; relmse: mean of (a-b)^2 / (b^2 + 0.01); psnr: 10 log10(1 / mse) in
 * dB of the sRGB-encoded, clipped values, infinity when equal. b is the reference. Sizes and channels must agree. */
rt_status rt_image_compare(const rt_image *a, const rt_image *b, rt_difference *out, rt_error *err);
/* Structural similarity (Wang et al. 2004) of the luma of the sRGB-encoded, clipped colours: 1 when equal. Alpha is not
 * looked at. */
rt_status rt_image_ssim(const rt_image *a, const rt_image *b, double *out, rt_error *err);
/* LDR-FLIP (Andersson et al. 2020) of the clipped colours: the mean over the pixels of what a viewer who alternates
 * between the two would notice, 0 (nothing) to 1. `pixels_per_degree` of the viewer, 1 to 1,000; 67 is the
 * paper's. *map (may be NULL) becomes a grey image of it. b is the reference, alpha is not looked at. */
#define RT_FLIP_PIXELS_PER_DEGREE 67.0
rt_status rt_image_flip(const rt_image *a, const rt_image *b, double pixels_per_degree, double *mean, rt_image **map,
                        rt_error *err);

/* The first channel's values from 0 to 1 in the colours of magma, black to light yellow. */
rt_status rt_image_magma(rt_image **out, const rt_image *values, rt_error *err);

/* ---- Meshes ------------------------------------------------------------------------------------------------------ */

typedef struct rt_mesh rt_mesh;
typedef struct {
  const float *vertices;          /* 3 n_vertices */
  const float *normals;           /* 3 n_vertices, or NULL: flat */
  const float *uvs;               /* 2 n_vertices, or NULL; origin bottom left */
  const uint32_t *indices;        /* 3 n_triangles, from 0, counter-clockwise seen from outside */
  const uint32_t *material_slots; /* n_triangles, or NULL: all 0 */
  size_t n_vertices, n_triangles;
  const char *name; /* for errors */
} rt_mesh_data;

/* Copies `data`. RT_BAD_DATA for an index out of range or a vertex that is not finite. */
rt_status rt_mesh_new(rt_mesh **out, const rt_mesh_data *data, rt_error *err);
/* OBJ or PLY, told by its content. Polygons are cut into fans. */
rt_status rt_mesh_load(rt_mesh **out, const char *path, rt_error *err);
rt_mesh *rt_mesh_ref(rt_mesh *mesh);
void rt_mesh_free(rt_mesh *mesh);
size_t rt_mesh_triangles(const rt_mesh *mesh);
size_t rt_mesh_vertices(const rt_mesh *mesh);
rt_bounds rt_mesh_bounds(const rt_mesh *mesh);
/* The names that an OBJ's usemtl gave to its material slots: slot i is name i. Slot 0 alone, "", elsewhere. */
uint32_t rt_mesh_slots(const rt_mesh *mesh);
const char *rt_mesh_slot_name(const rt_mesh *mesh, uint32_t slot);

/* ---- Scenes ------------------------------------------------------------------------------------------------------ */

typedef struct rt_scene rt_scene;

typedef enum { RT_TEXTURE_CONSTANT, RT_TEXTURE_IMAGE, RT_TEXTURE_CHECKER } rt_texture_kind;
typedef struct {
  rt_texture_kind kind;
  rt_rgb value;    /* constant: the colour; image: what multiplies it. A scalar parameter reads x */
  rt_image *image; /* image: bilinear, repeated, by uv */
  uint32_t a, b;   /* checker: textures of the even and the odd squares */
  float scale[2];  /* image and checker: repetitions (squares) per unit of u and v */
} rt_texture_desc;

typedef enum {
  RT_MATERIAL_DIFFUSE,   /* Lambert: color */
  RT_MATERIAL_MIRROR,    /* the same reflectance at every angle: color */
  RT_MATERIAL_METAL,     /* GGX conductor: eta, k; or color with Schlick's curve where eta is RT_NONE; roughness */
  RT_MATERIAL_GLASS,     /* smooth or GGX dielectric, exact Fresnel: ior, roughness, color tints transmission */
  RT_MATERIAL_PLASTIC,   /* a dielectric coat over a Lambert base: color, ior, roughness */
  RT_MATERIAL_LIGHT,     /* emission alone */
  RT_MATERIAL_TWO_SIDED, /* material a on the side of the normal, b on the other */
  RT_MATERIAL_MIX,       /* a with weight 1 - amount, b with weight amount */
} rt_material_kind;

/* Every texture here is an id that rt_scene_texture gave, RT_NONE where the kind does not read it. */
typedef struct {
  rt_material_kind kind;
  uint32_t color, eta, k, ior;
  uint32_t roughness; /* GGX: alpha = roughness^2, unless roughness_is_alpha; 0 is smooth */
  bool roughness_is_alpha;
  uint32_t a, b;           /* materials, of two_sided and mix */
  uint32_t amount;         /* of mix */
  uint32_t emission;       /* radiance, W/(m^2 sr); RT_NONE: none */
  bool emission_two_sided; /* else only on the side of the normal */
  bool emission_is_power; /* emission is flux in W per channel of each placed copy: radiance = flux / (pi area sides) */
} rt_material_desc;
#define RT_MATERIAL_DESC_INIT                                                                                          \
  {                                                                                                                    \
    RT_MATERIAL_DIFFUSE, RT_NONE, RT_NONE, RT_NONE, RT_NONE, RT_NONE, false, RT_NONE, RT_NONE, RT_NONE, RT_NONE,       \
        false, false                                                                                                   \
  }

typedef enum {
  RT_SHAPE_SPHERE,
  RT_SHAPE_QUAD,
  RT_SHAPE_DISK,
  RT_SHAPE_PLANE,
  RT_SHAPE_BOX,
  RT_SHAPE_CYLINDER,
  RT_SHAPE_TRIANGLE,
  RT_SHAPE_MESH,
} rt_shape_kind;

typedef struct {
  rt_shape_kind kind;
  const char *name;          /* may be NULL; copied */
  bool hidden;               /* from camera rays alone */
  const uint32_t *materials; /* one material id per slot (n_materials); all shapes but meshes have one slot */
  uint32_t n_materials;
  union {
    struct {
      rt_vec3 center;
      float radius;
    } sphere;
    struct {
      rt_vec3 v[4];
    } quad; /* triangles v0 v1 v2 and v0 v2 v3; normal by counter-clockwise order */
    struct {
      rt_vec3 center, normal;
      float radius;
    } disk;
    struct {
      rt_vec3 point, normal;
    } plane;
    struct {
      rt_vec3 min, max;
    } box;
    struct {
      rt_vec3 from, to;
      float radius;
      bool caps;
    } cylinder;
    struct {
      rt_vec3 v[3];
    } triangle;
    struct {
      rt_mesh *mesh;
    } mesh;
  };
} rt_shape_desc;

/* Transforms, packed, for a group that stands in many places: shared by handle and scene. Once it is placed nothing may
 * be added. */
typedef struct rt_placements rt_placements;
rt_status rt_placements_new(rt_placements **out, size_t count, rt_error *err); /* with room for so many */
/* RT_BAD_DATA for a transform that is singular, all but singular, or not finite. */
rt_status rt_placements_add(rt_placements *placements, const rt_affine *transform, rt_error *err);
size_t rt_placements_count(const rt_placements *placements);
void rt_placements_free(rt_placements *placements);

typedef struct {
  uint32_t group;            /* what is placed */
  rt_affine transform;       /* child to parent */
  rt_placements *placements; /* or NULL; else in place of the transform, and it stands for so many instances */
  const char *name;          /* may be NULL; copied */
  bool hidden;
} rt_instance_desc;

typedef enum { RT_LIGHT_POINT, RT_LIGHT_SPOT, RT_LIGHT_SUN } rt_light_kind;
typedef struct {
  rt_light_kind kind;
  rt_vec3 position;
  rt_vec3 direction; /* spot: where it points; sun: towards the sun; any length but 0 */
  rt_rgb intensity;  /* point and spot: W/sr; sun: irradiance on a surface that faces it, W/m^2 */
  float angle;       /* full angle: spot's cone; sun's disk, 0 is a point at infinity */
  float blend;       /* spot: 0 to 1, the part of the cone's half angle over which it fades */
} rt_light_desc;

typedef enum { RT_BACKGROUND_CONSTANT, RT_BACKGROUND_GRADIENT, RT_BACKGROUND_IMAGE } rt_background_kind;
typedef struct {
  rt_background_kind kind;
  rt_rgb top, bottom; /* constant: top; gradient: linear in the direction's y from bottom (-1) to top (+1) */
  rt_image *image;    /* latitude-longitude: u = 1/2 + atan2(x, -z) / 2 pi, v from +y down */
  float scale;        /* multiplies the image */
  float rotate;       /* degrees about +y, of the image against the world */
} rt_background_desc;

typedef enum { RT_CAMERA_PERSPECTIVE, RT_CAMERA_ORTHOGRAPHIC } rt_camera_kind;
typedef struct {
  rt_camera_kind kind;
  double from[3], to[3], up[3];
  double fov;      /* vertical, degrees, above 0, below 180; perspective */
  double height;   /* what an orthographic camera sees, scene units */
  double aperture; /* lens radius, 0: a pinhole */
  double focus;    /* distance along the axis that is sharp; 0: |to - from| */
} rt_camera_desc;

rt_status rt_scene_new(rt_scene **out, rt_error *err);
rt_scene *rt_scene_ref(rt_scene *scene);
void rt_scene_free(rt_scene *scene);

/* Building. Ids count from 0. Group 0 is there from the start: it is the world. A group may be placed in any later
 * one, in as many places as wanted; nesting deeper than 8 is RT_BAD_DATA. */
rt_status rt_scene_texture(rt_scene *scene, const rt_texture_desc *desc, uint32_t *id, rt_error *err);
rt_status rt_scene_material(rt_scene *scene, const rt_material_desc *desc, uint32_t *id, rt_error *err);
rt_status rt_scene_group(rt_scene *scene, uint32_t *id, rt_error *err);
rt_status rt_scene_shape(rt_scene *scene, uint32_t group, const rt_shape_desc *desc, rt_error *err);
rt_status rt_scene_instance(rt_scene *scene, uint32_t group, const rt_instance_desc *desc, rt_error *err);
rt_status rt_scene_light(rt_scene *scene, uint32_t group, const rt_light_desc *desc, rt_error *err);
rt_status rt_scene_background(rt_scene *scene, const rt_background_desc *desc, rt_error *err);
rt_status rt_scene_camera(rt_scene *scene, const rt_camera_desc *desc, rt_error *err);
/* Builds trees and light tables on `threads` threads; after it the scene is immutable and may be used by any thread. */
rt_status rt_scene_commit(rt_scene *scene, int threads, rt_error *err);

typedef struct {
  uint64_t shapes, instances, groups;   /* as described */
  uint64_t triangles, placed_triangles; /* stored once; as rays meet them */
  uint64_t placed_primitives;           /* triangles, spheres, disks, planes and cylinders as rays meet them */
  uint64_t lights, materials, textures;
  rt_bounds bounds; /* of what is finite */
  size_t bytes;     /* geometry, trees, images */
  size_t tree_bytes;
  double build_seconds;
} rt_scene_info;
void rt_scene_describe(const rt_scene *scene, rt_scene_info *out);
/* SHA-256 in hexadecimal of geometry, materials, lights, camera and the contents of files; not of render settings.
 * Of a committed scene; empty before. */
void rt_scene_hash(const rt_scene *scene, char hex[65]);

typedef struct {
  float t;                               /* in lengths of `direction` */
  rt_vec3 point, normal, shading_normal; /* outward, unit */
  float u, v;
  uint32_t material;
  const char *name; /* the shape's, or its nearest named ancestor's; NULL when none has one */
  uint64_t ordinal; /* of the primitive, in depth-first order of the scene */
} rt_scene_hit;
/* Rays against the scene are traced by a kernel for an instruction set: sse2, avx2, avx512; neon on AArch64. Hits do not
 * depend on it. The best that this processor has is taken until another is selected, for all scenes; RT_BAD_USAGE where
 * there is none of that name, or the processor cannot run it. */
rt_status rt_isa_select(const char *name, rt_error *err);
const char *rt_isa(void);

/* Traces many rays, 8 floats each: origin, tnear (at least 0), direction, tfar; any: only whether they meet something. For
 * benches. */
typedef struct {
  uint64_t hits;
  double t_sum; /* of the hits; 0 with any */
  double seconds;
} rt_trace_result;
rt_status rt_scene_trace(const rt_scene *scene, const float *rays, size_t n, bool any, int threads,
                         rt_trace_result *out, rt_error *err);

/* The nearest hit with t in (tnear, tfar]. False when there is none. */
bool rt_scene_intersect(const rt_scene *scene, rt_vec3 origin, rt_vec3 direction, float tnear, float tfar,
                        rt_scene_hit *hit);

/* ---- Rendering --------------------------------------------------------------------------------------------------- */

typedef enum { RT_FILTER_BOX, RT_FILTER_GAUSSIAN, RT_FILTER_BLACKMAN_HARRIS } rt_filter;
#define RT_DEPTH_INFINITE UINT32_MAX
#define RT_MAX_SIDE 65536
#define RT_MAX_SPP (1u << 24)

/* Arbitrary output variables, what a film may keep of its samples besides radiance; docs/aovs.md says what each is. */
typedef enum {
  RT_AOV_ALBEDO,
  RT_AOV_NORMAL,
  RT_AOV_DEPTH,
  RT_AOV_POSITION,
  RT_AOV_UV,
  RT_AOV_EMISSION,
  RT_AOV_DIRECT,
  RT_AOV_INDIRECT,
  RT_AOV_VARIANCE,
  RT_AOV_SAMPLES,
  RT_AOV_SHAPE,
  RT_AOV_MATERIAL,
  /* Estimates of the errors of means: their squares have the variance's mean. */
  RT_AOV_ERROR,
  RT_AOV_ALBEDO_ERROR,
  RT_AOV_NORMAL_ERROR,
  RT_AOV_DEPTH_ERROR,
  RT_AOVS
} rt_aov;
#define RT_AOV_BIT(aov) (1u << (aov))
const char *rt_aov_name(rt_aov aov);
const char *rt_aov_channels(rt_aov aov); /* one letter each */
const char *rt_aov_show(rt_aov aov);     /* how it is shown as a picture: "color", or a way of rt_image_show */

typedef struct {
  int width, height;
  int crop[4];                       /* x0, y0, x1, y1, half open, pixels */
  uint32_t sample_begin, sample_end; /* half open */
  int threads;                       /* at least 1 */
  uint32_t seed;
  uint32_t max_depth; /* bounces; 0 is emission alone */
  rt_filter filter;
  float clamp_indirect; /* largest radiance of a sample's indirect part; 0: off */
  bool transparent;     /* the background is alpha 0 to the camera */
  uint32_t aovs;        /* bits: what the film keeps besides radiance */
  /* Above 0: a pixel takes no more samples when the relative error of its luminance is estimated to be below this; it
   * is looked at when it has 16, 32, 64, ... samples. Samples begin at 0 then. */
  float noise;
} rt_render_settings;
#define RT_RENDER_SETTINGS_INIT                                                                                        \
  { 800, 600, {0, 0, 800, 600}, 0, 64, 1, 0, 16, RT_FILTER_BLACKMAN_HARRIS, 0.0f, false, 0, 0.0f }

typedef struct {
  bool done;               /* every sample is taken, or the job was stopped */
  uint64_t samples, total; /* pixel samples in the film, of how many; with a noise, fewer and fewer */
  uint64_t made;           /* of them, those that this job took; a resumed one had others before */
  uint64_t rays;
  double seconds;      /* since the start */
  double noise;        /* estimate of the relative standard error of a pixel, root mean square; < 0: not known yet */
  uint64_t not_finite; /* samples dropped because they were NaN or infinite */
  uint64_t overflow;   /* samples that were too bright for the film, clamped */
  size_t film_bytes;   /* of memory, for the film's pixels: docs/aovs.md */
} rt_progress;

/* A film: exact sums of samples per pixel, for a rectangle of the picture, and which samples they are. On the disk it
 * is a part file (docs/parts.md). Parts join to the bytes that one render would have given, in any order. */
typedef struct rt_film rt_film;
typedef struct {
  int width, height, crop[4]; /* of the picture; what the film holds of it */
  uint32_t seed;
  char scene[65]; /* its hash */
  uint32_t aovs;
  float noise;
  size_t bytes; /* of memory, for its pixels */
} rt_film_info;
/* RT_BAD_DATA: no part file, of another format, or damaged. */
rt_status rt_film_load(rt_film **out, const char *path, rt_error *err);
rt_status rt_film_save(const rt_film *film, const char *path, rt_error *err);
rt_status rt_film_can_save(const char *path, rt_error *err); /* RT_CANT_WRITE, before the work begins */
void rt_film_free(rt_film *film);
void rt_film_about(const rt_film *film, rt_film_info *out);
/* Adds a part to *whole, which is made for the whole picture where it is NULL. RT_BAD_DATA, with a message that begins
 * with `name`: of another scene, version or settings; or a pixel has some of the samples already, unless overlaps are
 * allowed and one of the two has all that the other has: then that one is kept. */
rt_status rt_film_join(rt_film **whole, const rt_film *part, bool allow_overlap, const char *name, rt_error *err);
/* Does each pixel have the samples 0 to *spp and no others, or, with a noise, so many that it may stop there? *mean is
 * how many they are. RT_BAD_DATA says which does not. */
rt_status rt_film_check_whole(const rt_film *film, uint32_t *spp, double *mean, rt_error *err);
/* RGB, or RGBA (premultiplied) when transparent; the crop's size. */
rt_status rt_film_image(const rt_film *film, rt_image **out, rt_error *err);
/* An AOV; RT_BAD_USAGE where the film does not keep it. */
rt_status rt_film_aov(const rt_film *film, rt_aov aov, rt_image **out, rt_error *err);

/* What is denoised: a film's picture and AOVs, of one size. */
typedef struct {
  const rt_image *colour, *error, *variance; /* RGB or RGBA; RT_AOV_ERROR and RT_AOV_VARIANCE */
  const rt_image *albedo, *albedo_error, *normal, *normal_error, *depth, *depth_error;
} rt_denoise_input;
/* The picture without its noise; alpha stays. Exact: the same bytes for any number of threads. `stop` (may be NULL) is
 * asked now and then, on any thread: true makes it RT_TRY_AGAIN. RT_BAD_DATA for what is not finite (depths may be), or
 * above 2^40. */
rt_status rt_denoise(rt_image **out, const rt_denoise_input *in, int threads, bool (*stop)(void *context),
                     void *context, rt_error *err);
/* RT_UNAVAILABLE unless Intel's Open Image Denoise can be loaded here. */
rt_status rt_find_oidn(rt_error *err);
/* The same by Intel's Open Image Denoise, whose errors and noise it does not look at. RT_UNAVAILABLE where its library
 * cannot be loaded. Its bytes depend on its version and on the processor. */
rt_status rt_denoise_oidn(rt_image **out, const rt_denoise_input *in, int threads, rt_error *err);

typedef struct rt_job rt_job;
/* Starts rendering on settings->threads threads of its own and returns at once. What `before` (may be NULL) has of the
 * samples is not taken again: a resumed job ends with the same film as one that never stopped. RT_BAD_DATA where it is
 * of another scene, version, crop or settings. */
rt_status rt_job_start(rt_job **out, rt_scene *scene, const rt_render_settings *settings, const rt_film *before,
                       rt_error *err);
/* Waits until the job is done, at most `seconds`; true when it is done. */
bool rt_job_wait(rt_job *job, double seconds);
void rt_job_progress(rt_job *job, rt_progress *out);
/* Asks the threads to stop; they do within some milliseconds. What is in the film stays. */
void rt_job_stop(rt_job *job);
/* The film so far: RGB, or RGBA (premultiplied) when transparent; the crop's size. Exact: depends on the set of
 * samples that the film holds alone. */
rt_status rt_job_image(rt_job *job, rt_image **out, rt_error *err);
rt_status rt_job_aov(rt_job *job, rt_aov aov, rt_image **out, rt_error *err);
/* The film so far as a part file: a checkpoint, when the job is still running. */
rt_status rt_job_save(rt_job *job, const char *path, rt_error *err);
void rt_job_free(rt_job *job); /* stops it and waits for its threads */

/* How many threads this process may use: affinity and cgroup quota, at least 1. */
int rt_threads_available(void);

#endif
