/* Lamps.
 *
 * Point: radiance / pdf is intensity / d^2.
 * Spot: a point light times a falloff in the cosine c of the angle to the axis: 1 where c is above that of the inner
 * half angle (angle / 2)(1 - blend), 0 below that of the outer one, angle / 2, and the cubic smoothstep s^2 (3 - 2 s)
 * between.
 * Sun: a disk of half angle a around a direction at infinity, of uniform radiance: irradiance / (pi sin^2 a), since the
 * integral of the cosine over that cone is pi sin^2 a. Without an extent it is a direction that carries the irradiance.
 *
 * Angles are kept as 1 - cos and computed in double: in float the cosine of a narrow cone has no digits left. */
#include "shading/lamps.h"

#include "base/elementary.h"
#include "base/error.h"

/* Half the angle, in radians, below which a sun is a point: a float direction tells less than a thousand places across
 * so small a disk apart. Our sun is 70 times as wide. */
#define POINT_SUN 0x1p-14

/* 1 - cos of an angle in radians, without cancellation. */
static double versine(double angle) {
  double s = rt_sin(0.5 * angle);
  return 2.0 * s * s;
}

static double half_angle(const rt_light_desc *desc) { return (double)desc->angle * (0.5 * RT_PI / 180.0); }

rt_status rt_lamp_check(rt_light_desc *desc, rt_error *err) {
  static const char *const names[] = {"point", "spot", "sun"};
  const char *name = names[desc->kind], *strength = desc->kind == RT_LIGHT_SUN ? "irradiance" : "intensity";
  rt_rgb c = desc->intensity;
  if (!v3_is_finite(c) || c.x < 0.0f || c.y < 0.0f || c.z < 0.0f)
    return rt_fail(err, RT_BAD_DATA, "%s: %s (times color) must be finite and at least 0", name, strength);
  if (desc->kind == RT_LIGHT_SUN)
    desc->position = v3_all(0.0f);
  else if (!v3_is_finite(desc->position))
    return rt_fail(err, RT_BAD_DATA, "%s: position must be finite", name);

  if (desc->kind == RT_LIGHT_POINT) {
    desc->direction = v3_all(0.0f);
    desc->angle = 0.0f;
  } else if (!v3_is_finite(desc->direction) || v3_is_zero(desc->direction)) {
    return rt_fail(err, RT_BAD_DATA, "%s: direction must be finite and not 0", name);
  }
  if (desc->kind == RT_LIGHT_SPOT && !(desc->angle > 0.0f && desc->angle <= 180.0f))
    return rt_fail(err, RT_BAD_DATA, "spot: angle must be above 0 and at most 180 degrees, not %g",
                   (double)desc->angle);
  if (desc->kind == RT_LIGHT_SUN && !(desc->angle >= 0.0f && desc->angle < 180.0f))
    return rt_fail(err, RT_BAD_DATA, "sun: angle must be at least 0 and below 180 degrees, not %g",
                   (double)desc->angle);
  if (desc->kind != RT_LIGHT_SPOT)
    desc->blend = 0.0f;
  else if (!(desc->blend >= 0.0f && desc->blend <= 1.0f))
    return rt_fail(err, RT_BAD_DATA, "spot: blend must be from 0 to 1, not %g", (double)desc->blend);
  return RT_OK;
}

static void set(double out[3], double x, double y, double z) {
  out[0] = x;
  out[1] = y;
  out[2] = z;
}

/* axis = direction / |direction|, x and y across it (Duff et al. 2017, as in base/vec.h, in double). */
static void make_frame(rt_lamp *lamp, rt_vec3 direction) {
  double dx = direction.x, dy = direction.y, dz = direction.z, s = 1.0 / sqrt(dx * dx + dy * dy + dz * dz);
  dx *= s;
  dy *= s;
  dz *= s;
  double sign = copysign(1.0, dz), a = -1.0 / (sign + dz), b = dx * dy * a;
  set(lamp->x, 1.0 + sign * dx * dx * a, sign * b, -sign * dx);
  set(lamp->y, b, sign + dy * dy * a, -dy);
  set(lamp->axis, dx, dy, dz);
}

rt_status rt_lamp_place(rt_lamp *out, const rt_light_desc *desc, const rt_affine *to_world, rt_error *err) {
  *out = (rt_lamp){.kind = desc->kind, .intensity = desc->intensity};
  if (desc->kind != RT_LIGHT_SUN) {
    out->position = affine_point(to_world, desc->position);
    if (!v3_is_finite(out->position)) return rt_fail(err, RT_BAD_DATA, "light: its transform moves it out of reach");
  }
  if (desc->kind == RT_LIGHT_POINT) return RT_OK;

  rt_vec3 direction = affine_vector(to_world, desc->direction);
  if (!v3_is_finite(direction) || v3_is_zero(direction))
    return rt_fail(err, RT_BAD_DATA, "light: its transform leaves no direction: give one that keeps volumes above 0");
  make_frame(out, direction);
  double half = half_angle(desc);
  if (desc->kind == RT_LIGHT_SPOT) {
    out->versine = versine(half);
    out->versine_inner = versine(half * (1.0 - (double)desc->blend));
  } else if (half >= POINT_SUN) {
    double sine = rt_sin(half), s = 1.0 / (RT_PI * sine * sine);
    out->disk = true;
    out->versine = versine(half);
    out->radiance = v3((float)(desc->intensity.x * s), (float)(desc->intensity.y * s), (float)(desc->intensity.z * s));
    if (!v3_is_finite(out->radiance))
      return rt_fail(err, RT_BAD_DATA, "sun: irradiance is too bright for so small an angle: lower it");
  }
  return RT_OK;
}

void rt_lamp_hash(const rt_light_desc *desc, rt_sha256 *sha) {
  rt_vec3 p = desc->position, d = desc->direction, c = desc->intensity;
  rt_sha256_u32(sha, (uint32_t)desc->kind);
  rt_sha256_floats(sha, (const float[]){p.x, p.y, p.z, d.x, d.y, d.z, c.x, c.y, c.z, desc->angle, desc->blend}, 11);
}

double rt_lamp_power(const rt_lamp *lamp, double radius) {
  double intensity = rgb_luminance(lamp->intensity);
  switch (lamp->kind) {
  case RT_LIGHT_POINT: return 4.0 * RT_PI * intensity;
  /* The smoothstep's mean is 1/2, so that the band counts for half of its solid angle. */
  case RT_LIGHT_SPOT: return RT_PI * (lamp->versine_inner + lamp->versine) * intensity;
  case RT_LIGHT_SUN: break;
  }
  return RT_PI * radius * radius * intensity;
}

static double spot_falloff(const rt_lamp *lamp, double versine_here) {
  if (versine_here <= lamp->versine_inner) return 1.0;
  if (versine_here >= lamp->versine) return 0.0;
  double s = (lamp->versine - versine_here) / (lamp->versine - lamp->versine_inner);
  return s * s * (3.0 - 2.0 * s);
}

bool rt_lamp_light(const rt_lamp *lamp, rt_vec3 ref, rt_light_sample *out) {
  *out = (rt_light_sample){.delta = true, .pdf = 1.0f};
  if (lamp->kind == RT_LIGHT_SUN) {
    out->wi = v3((float)lamp->axis[0], (float)lamp->axis[1], (float)lamp->axis[2]);
    out->infinite = true;
    out->radiance = lamp->intensity;
    return !v3_is_zero(out->radiance);
  }

  double x = (double)lamp->position.x - ref.x, y = (double)lamp->position.y - ref.y,
         z = (double)lamp->position.z - ref.z;
  double distance2 = x * x + y * y + z * z;
  if (!(distance2 > 0.0)) return false;
  double s = 1.0 / sqrt(distance2), strength = 1.0 / distance2;
  x *= s;
  y *= s;
  z *= s;
  if (lamp->kind == RT_LIGHT_SPOT) {
    /* |a + w|^2 / 2 = 1 + a.w = 1 - cos of the angle between the axis a and -w, exact where it is small. */
    double ex = lamp->axis[0] + x, ey = lamp->axis[1] + y, ez = lamp->axis[2] + z;
    strength *= spot_falloff(lamp, 0.5 * (ex * ex + ey * ey + ez * ez));
  }
  out->wi = v3((float)x, (float)y, (float)z);
  out->p = lamp->position;
  out->radiance = v3((float)(lamp->intensity.x * strength), (float)(lamp->intensity.y * strength),
                     (float)(lamp->intensity.z * strength));
  return v3_is_finite(out->radiance) && !v3_is_zero(out->radiance);
}

rt_vec3 rt_sun_sample(const rt_lamp *sun, float u0, float u1) {
  double versine_here = u1 * sun->versine, cosine = 1.0 - versine_here;
  double sine = sqrt(versine_here * (2.0 - versine_here));
  float s, c;
  rt_sincos_turn(u0, &s, &c);
  double a = sine * c, b = sine * s;
  return v3((float)(sun->x[0] * a + sun->y[0] * b + sun->axis[0] * cosine),
            (float)(sun->x[1] * a + sun->y[1] * b + sun->axis[1] * cosine),
            (float)(sun->x[2] * a + sun->y[2] * b + sun->axis[2] * cosine));
}

double rt_sun_density(const rt_lamp *sun, rt_vec3 w) {
  double x = w.x - sun->axis[0], y = w.y - sun->axis[1], z = w.z - sun->axis[2];
  return 0.5 * (x * x + y * y + z * z) <= sun->versine ? 1.0 / (2.0 * RT_PI * sun->versine) : 0.0;
}
