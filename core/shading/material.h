/* The tables behind rt_materials: shared by texture.c and material.c alone.
 *
 * Ids are indices. An entry refers to earlier ones only, so that there are no cycles; nesting is at most
 * RT_SHADING_NESTING deep, so that every walk is a loop with a bound. */
#ifndef RT_SHADING_MATERIAL_H
#define RT_SHADING_MATERIAL_H

#include "shading/shading.h"

/* Levels of checkers within checkers, and of mixes and two_sided within each other: more than a person writes. */
#define RT_SHADING_NESTING 32

typedef struct {
  rt_texture_kind kind;
  uint32_t a, b;  /* checker */
  uint32_t depth; /* levels of checkers */
  float scale[2];
  rt_rgb value;
  int width, height, channels;
  const float *pixels;
  rt_image *image;    /* a reference of our own */
  uint32_t first_use; /* image: the first texture that has it; its pixels are hashed and counted there */
  rt_bounds range;    /* of all constants in it, empty when there are none: images are clamped when they are read */
} texture;

/* What leaves a surface, and how it was given: bits. */
enum { EMITS_RADIANCE = 1, EMITS_POWER = 2 };

typedef struct {
  rt_material_desc desc; /* what its kind does not read is RT_NONE or false */
  uint32_t depth;        /* levels of mix and two_sided */
  uint32_t emitters;     /* emissions on all paths through mix and two_sided */
  uint8_t units;         /* EMITS_RADIANCE, EMITS_POWER: those of its emitters; never both */
  bool front, back;      /* emits on the side of the normal, on the other */
  float f_internal;      /* plastic whose ior is constant; else negative */
  /* Where no texture that it reads varies, what it is everywhere: of all, emission; of all but mixes and two_sided, the
   * BSDF. */
  bool emission_is_steady, bsdf_is_steady;
  rt_rgb emission[2]; /* behind, in front */
  rt_bsdf bsdf;
} material;

struct rt_materials {
  texture *textures;
  material *materials;
  uint32_t n_textures, n_materials;
  size_t texture_capacity, material_capacity;
};

void textures_free(rt_materials *materials);
size_t textures_bytes(const rt_materials *materials);
void textures_hash(const rt_materials *materials, rt_sha256 *sha);

#endif
