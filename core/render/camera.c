#include "render/camera.h"

#include <math.h>

#include "base/elementary.h"
#include "base/error.h"

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static void cross(double out[3], const double a[3], const double b[3]) {
  for (int i = 0; i < 3; i++) {
    int j = (i + 1) % 3, k = (i + 2) % 3;
    out[i] = a[j] * b[k] - a[k] * b[j];
  }
}

/* Scales by the largest component first: lengths from 1e-300 to 1e300 survive. False for zero. */
static bool normalize(double v[3]) {
  double largest = fmax(fabs(v[0]), fmax(fabs(v[1]), fabs(v[2])));
  if (!(largest > 0.0)) return false;
  for (int i = 0; i < 3; i++) v[i] /= largest;
  double length = sqrt(dot(v, v));
  for (int i = 0; i < 3; i++) v[i] /= length;
  return true;
}

rt_status rt_camera_init(rt_camera *camera, const rt_camera_desc *desc, rt_error *err) {
  for (int i = 0; i < 3; i++) {
    if (!isfinite(desc->from[i]) || !isfinite(desc->to[i]) || !isfinite(desc->up[i]) || fabs(desc->from[i]) > 1e30) {
      return rt_fail(err, RT_BAD_DATA, "camera: from, to and up must be finite");
    }
  }
  if (desc->kind == RT_CAMERA_PERSPECTIVE && !(desc->fov > 0.0 && desc->fov < 180.0)) {
    return rt_fail(err, RT_BAD_DATA, "camera: fov is %g: it must be above 0 and below 180 degrees", desc->fov);
  }
  if (desc->kind == RT_CAMERA_ORTHOGRAPHIC && !(desc->height > 0.0 && isfinite(desc->height))) {
    return rt_fail(err, RT_BAD_DATA, "camera: height is %g: it must be above 0", desc->height);
  }
  if (!(desc->aperture >= 0.0 && isfinite(desc->aperture) && desc->focus >= 0.0 && isfinite(desc->focus))) {
    return rt_fail(err, RT_BAD_DATA, "camera: aperture and focus must be finite and not negative");
  }
  *camera = (rt_camera){.kind = desc->kind, .aperture = desc->aperture};
  double view[3], up[3];
  for (int i = 0; i < 3; i++) {
    camera->from[i] = desc->from[i];
    view[i] = camera->forward[i] = desc->to[i] - desc->from[i];
    up[i] = desc->up[i];
  }
  if (!normalize(camera->forward)) return rt_fail(err, RT_BAD_DATA, "camera: from and to are the same point");
  camera->focus = desc->focus > 0.0 ? desc->focus : dot(view, camera->forward);
  static const double OTHER_UPS[2][3] = {{0, 0, -1}, {0, 1, 0}};
  for (int i = 0;; i++) {
    cross(camera->right, camera->forward, up);
    if (dot(camera->right, camera->right) > 1e-24 * dot(up, up) && normalize(camera->right)) break;
    for (int k = 0; k < 3; k++) up[k] = OTHER_UPS[i][k];
  }
  cross(camera->up, camera->right, camera->forward);
  double half = desc->fov * (RT_PI / 360.0);
  camera->half_height = desc->kind == RT_CAMERA_PERSPECTIVE ? rt_tan(half) : 0.5 * desc->height;
  return RT_OK;
}

void rt_camera_hash(const rt_camera_desc *desc, rt_sha256 *sha) {
  const double values[] = {desc->from[0], desc->from[1],  desc->from[2], desc->to[0], desc->to[1],
                           desc->to[2],   desc->up[0],    desc->up[1],   desc->up[2], desc->fov,
                           desc->height,  desc->aperture, desc->focus};
  rt_sha256_u32(sha, (uint32_t)desc->kind);
  rt_sha256_doubles(sha, values, sizeof values / sizeof *values);
}

void rt_camera_get_matrices(const rt_camera *camera, int width, int height, rt_camera_matrices *out) {
  double view[4][3]; /* world to camera for row vectors; the last column is 0 0 0 1 */
  for (int i = 0; i < 3; i++) {
    view[i][0] = camera->right[i];
    view[i][1] = camera->up[i];
    view[i][2] = camera->forward[i];
  }
  view[3][0] = 0.0 - dot(camera->from, camera->right);
  view[3][1] = 0.0 - dot(camera->from, camera->up);
  view[3][2] = 0.0 - dot(camera->from, camera->forward);
  bool perspective = camera->kind == RT_CAMERA_PERSPECTIVE;
  double scale_y = 0.5 / camera->half_height, scale_x = scale_y * height / width;
  for (int row = 0; row < 4; row++) {
    double x = view[row][0], y = view[row][1], z = view[row][2], one = row == 3 ? 1.0 : 0.0;
    double w = perspective ? z : one;
    const double to_camera[4] = {x, y, z, one};
    const double to_ndc[4] = {0.5 * w + scale_x * x, 0.5 * w - scale_y * y, perspective ? z - one : z, w};
    for (int column = 0; column < 4; column++) {
      out->world_to_camera[row][column] = (float)to_camera[column];
      out->world_to_ndc[row][column] = (float)to_ndc[column];
    }
  }
}

void rt_camera_ray(const rt_camera *camera, int width, int height, double x, double y, float u, float v, rt_ray *out) {
  double unit = 2.0 * camera->half_height / height;
  double sx = (x - 0.5 * width) * unit, sy = (0.5 * height - y) * unit;
  double lx = 0.0, ly = 0.0;
  if (camera->aperture > 0.0f) {
    float sine, cosine;
    rt_sincos_turn(v, &sine, &cosine);
    double radius = camera->aperture * (double)sqrtf(u);
    lx = radius * cosine;
    ly = radius * sine;
  }
  bool perspective = camera->kind == RT_CAMERA_PERSPECTIVE;
  /* The point in focus, seen from the lens point: both in the camera's frame, in units of the focus distance for the
   * first. */
  double ox = lx, oy = ly, px = sx, py = sy;
  if (perspective) {
    px *= camera->focus;
    py *= camera->focus;
  } else {
    ox += sx;
    oy += sy;
  }
  double d[3], o[3];
  for (int i = 0; i < 3; i++) {
    o[i] = camera->from[i] + ox * camera->right[i] + oy * camera->up[i];
    d[i] = camera->focus * camera->forward[i] + (px - ox) * camera->right[i] + (py - oy) * camera->up[i];
  }
  normalize(d);
  *out = (rt_ray){.o = v3((float)o[0], (float)o[1], (float)o[2]),
                  .d = v3((float)d[0], (float)d[1], (float)d[2]),
                  .tnear = 0.0f,
                  .tfar = INFINITY,
                  .camera = true};
}

float rt_camera_depth(const rt_camera *camera, rt_vec3 p) {
  const double point[3] = {p.x, p.y, p.z};
  double depth = 0.0;
  for (int i = 0; i < 3; i++) depth += (point[i] - camera->from[i]) * camera->forward[i];
  return (float)depth;
}
