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

/* Pixel (x, y) of the whole picture, sample number `sample`: a pure function of these, the scene and the settings.
 * features: NULL where nobody wants them. */
rt_path_sample rt_integrator_sample(const rt_integrator *integrator, int x, int y, uint32_t sample,
                                    rt_features *features);

#endif
