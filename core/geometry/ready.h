/* Rays made ready for a group's tree, for triangles and for boxes: one, or eight in a loop over lanes. Internal to this
 * room; compiled for an instruction set each, with walk.h, which says why boxes may be tested so. */
#ifndef RT_GEOMETRY_READY_H
#define RT_GEOMETRY_READY_H

#include "base/lanes.h"
#include "geometry/f8.h"
#include "geometry/internal.h"
#include "geometry/triangle.h"

#define LEAST_D 0x1p-40f   /* of a component of d, as a part of the largest: for boxes only */
#define LEAST_PAD 0x1p-94f /* of a box, in lengths of d's largest component, which is 2^-33 at least: no subnormal */

typedef struct {
  rt_shear shear;
  /* By axis, the reciprocal of d, and what f_plane_origin makes of the origin moved away by the pad from the plane that
   * the ray enters by and from the one that it leaves by. Where these are finite rd is negative where d is, -0 too. */
  rt_vec3 rd, enter_o, leave_o;
} ready;

static inline void ready_axis(float o, float d, float pad, float least, float *rd, float *enter_o, float *leave_o) {
  float r = 1.0f / copysignf(f_max(fabsf(d), least), d), away = copysignf(pad, d);
  float enter = f_plane_origin(o + away, r), leave = f_plane_origin(o - away, r);
  bool finite = (fabsf(enter) <= FLT_MAX) & (fabsf(leave) <= FLT_MAX);
  *rd = f_pick(finite, 1.0f, r);
  *enter_o = f_pick(finite, INFINITY, enter);
  *leave_o = f_pick(finite, -INFINITY, leave);
}

static inline ready ready_of(const rt_group *group, rt_vec3 o, rt_vec3 d) {
  ready r = {.shear = rt_shear_of(o, d)};
  float largest = v3_abs_max(d), least = largest * LEAST_D;
  float pad = group->pad_o * v3_abs_max(o) + group->pad_s + largest * LEAST_PAD;
  ready_axis(o.x, d.x, pad, least, &r.rd.x, &r.enter_o.x, &r.leave_o.x);
  ready_axis(o.y, d.y, pad, least, &r.rd.y, &r.enter_o.y, &r.leave_o.y);
  ready_axis(o.z, d.z, pad, least, &r.rd.z, &r.enter_o.z, &r.leave_o.z);
  return r;
}

typedef struct {
  rt_vec3_lanes rd, enter_o, leave_o, o, s; /* o, s: the shear's, dz last */
  int32_t kz[RT_LANES];
  int32_t plain[RT_LANES]; /* finite, not 0, and to be traced unscaled (rt_ray_exponent) */
} ready_lanes;

static inline void ready_all(ready_lanes *restrict out, const rt_group *restrict group,
                             const rt_ray_lanes *restrict rays) {
  RT_EACH_LANE(i) {
    rt_vec3 o = v3_get(&rays->o, i), d = v3_get(&rays->d, i);
    ready r = ready_of(group, o, d);
    v3_put(&out->rd, i, r.rd);
    v3_put(&out->enter_o, i, r.enter_o);
    v3_put(&out->leave_o, i, r.leave_o);
    v3_put(&out->o, i, v3(r.shear.ox, r.shear.oy, r.shear.oz));
    v3_put(&out->s, i, v3(r.shear.sx, r.shear.sy, r.shear.dz));
    out->kz[i] = r.shear.kz;
  }
  RT_EACH_LANE(i) {
    rt_vec3 d = v3_get(&rays->d, i);
    float largest = v3_abs_max(d);
    bool o_is_bounded = v3_is_bounded(v3_get(&rays->o, i)), d_is_bounded = v3_is_bounded(d);
    out->plain[i] = o_is_bounded & d_is_bounded & (largest >= RT_LEAST_UNSCALED) & (largest <= RT_MOST_UNSCALED);
  }
}

static inline ready ready_get(const ready_lanes *all, int i) {
  ready r = {.rd = v3_get(&all->rd, i), .enter_o = v3_get(&all->enter_o, i), .leave_o = v3_get(&all->leave_o, i)};
  r.shear = (rt_shear){.ox = all->o.x[i],
                       .oy = all->o.y[i],
                       .oz = all->o.z[i],
                       .sx = all->s.x[i],
                       .sy = all->s.y[i],
                       .dz = all->s.z[i],
                       .kz = all->kz[i]};
  r.shear.kx = rt_next_axis(r.shear.kz);
  r.shear.ky = rt_next_axis(r.shear.kx);
  return r;
}

#endif
