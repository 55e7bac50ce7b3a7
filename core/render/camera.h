/* Cameras: from a point of the picture and a point of the lens to a ray. */
#ifndef RT_RENDER_CAMERA_H
#define RT_RENDER_CAMERA_H

#include "base/sha256.h"
#include "geometry/geometry.h"

typedef struct {
  rt_camera_kind kind;
  double from[3], forward[3], right[3], up[3]; /* an orthonormal frame */
  double half_height; /* of the picture: at distance 1 (perspective), in scene units (orthographic) */
  double aperture, focus;
} rt_camera;

/* RT_BAD_DATA when a value is not finite or out of range, or from equals to. Where `up` is parallel to the view, -z
 * or +y takes its place. */
rt_status rt_camera_init(rt_camera *camera, const rt_camera_desc *desc, rt_error *err);
void rt_camera_hash(const rt_camera_desc *desc, rt_sha256 *sha);
/* x and y in pixels from the top left of a width by height picture, pixel centres at .5; lens u, v in [0, 1). */
void rt_camera_ray(const rt_camera *camera, int width, int height, double x, double y, float u, float v, rt_ray *out);
/* The distance of a point along the camera's axis. */
float rt_camera_depth(const rt_camera *camera, rt_vec3 p);
/* Of a width by height picture. NDC's z is 0 one scene unit before a perspective camera and 1 at infinity, and camera
 * space's z of an orthographic one. */
void rt_camera_get_matrices(const rt_camera *camera, int width, int height, rt_camera_matrices *out);

#endif
