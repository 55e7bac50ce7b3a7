/* The path integrator: the radiance of one sample of one pixel. */
#ifndef RT_RENDER_INTEGRATOR_H
#define RT_RENDER_INTEGRATOR_H

#include "render/aov.h"
#include "render/filter.h"
#include "render/sampler.h"
#include "render/scene.h"

typedef struct {
  const rt_scene *scene;
  const rt_render_settings *settings;
  rt_filter_table filter;
} rt_integrator;

typedef struct {
  rt_rgb radiance;
  bool covered;  /* the camera ray met a shape */
  uint32_t rays; /* traced, shadow rays too */
} rt_path_sample;

/* One sample of one pixel of the whole picture. */
typedef struct {
  int x, y;
  uint32_t sample;
} rt_path_start;
#define RT_BATCH 64 /* paths that go together: enough to hide each other's waiting, few enough for the first cache */

/* n samples, RT_BATCH at most. Each is a pure function of its pixel, its number, the scene and the settings, whatever
 * the others are. features: n of them, or NULL where nobody wants them. */
void rt_integrator_samples(const rt_integrator *integrator, const rt_path_start *starts, size_t n, rt_path_sample *out,
                           rt_features *features);

#endif
