/* What a scene is inside the core: geometry, materials, lights and a camera, immutable once committed. */
#ifndef RT_RENDER_SCENE_H
#define RT_RENDER_SCENE_H

#include <stdatomic.h>

#include "geometry/geometry.h"
#include "render/camera.h"
#include "shading/shading.h"

struct rt_scene {
  atomic_int references;
  bool committed;
  double build_seconds;
  char hash[65]; /* once committed: made once, as it takes as long as a part of the build */
  rt_geometry *geometry;
  rt_materials *materials;
  rt_lights *lights;
  rt_camera_desc camera_desc;
  rt_camera camera;
};

#endif
