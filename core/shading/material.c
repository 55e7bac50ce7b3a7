/* Materials: the table, its checks, its hash, what a surface emits, and the BSDF at a point.
 *
 * Constants are checked when a material is added, so that the error can name the field; images are clamped to the
 * same ranges when they are read.
 *
 * two_sided and mix hold other materials. Each part of a two_sided is seen from its own front: a `light` as part b
 * shines from the back. An emission of their own is added to that of their parts. A BSDF is chosen among the parts of
 * a mix; emission is their sum, found by a loop over a stack: every walk is bounded by RT_SHADING_NESTING, a sum by
 * MAX_EMITTERS.
 *
 * Power. rt_material_emission gives E with radiance = E / (area sides), sides being those of the whole material. An
 * emitter of flux P that shines from s sides has radiance P / (pi area s), so E = P sides / (pi s): P / pi alone
 * where it is the only one. */
#include "shading/material.h"
#include "base/elementary.h"
#include "base/error.h"
#include "base/memory.h"
#include "shading/bsdf.h"
#include "shading/fresnel.h"

#define IOR_GLASS_MIN 0.1f /* below 1: a bubble in something denser */
#define IOR_GLASS_MAX 10.0f
#define IOR_PLASTIC_MIN 1.0f
#define IOR_PLASTIC_MAX 4.0f /* from about 7 on a rough coat at Brewster's angle would give more light than it gets */
#define INDEX_MAX 1000.0f    /* of a metal's eta and k: metals have up to some 100 in the far infrared */
#define MAX_EMITTERS 256u

rt_status rt_materials_new(rt_materials **out, rt_error *err) {
  rt_materials *materials = rt_alloc(1, sizeof *materials, err);
  if (!materials) return RT_NO_MEMORY;
  *out = materials;
  return RT_OK;
}

void rt_materials_free(rt_materials *materials) {
  if (!materials) return;
  textures_free(materials);
  rt_free(materials->materials);
  rt_free(materials);
}

uint32_t rt_materials_count(const rt_materials *materials) { return materials->n_materials; }
uint32_t rt_materials_texture_count(const rt_materials *materials) { return materials->n_textures; }
size_t rt_materials_bytes(const rt_materials *materials) {
  return sizeof *materials + textures_bytes(materials) + materials->material_capacity * sizeof(material);
}

void rt_materials_hash(const rt_materials *materials, rt_sha256 *sha) {
  textures_hash(materials, sha);
  rt_sha256_u32(sha, materials->n_materials);
  for (uint32_t i = 0; i < materials->n_materials; i++) {
    const rt_material_desc *d = &materials->materials[i].desc;
    const uint32_t flags =
        (uint32_t)d->roughness_is_alpha | (uint32_t)d->emission_two_sided << 1 | (uint32_t)d->emission_is_power << 2;
    const uint32_t numbers[] = {(uint32_t)d->kind, d->color,    d->eta, d->k, d->ior, d->roughness, d->a, d->b,
                                d->amount,         d->emission, flags};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) rt_sha256_u32(sha, numbers[k]);
  }
}

/* ---- Checks ---- */

typedef struct {
  const rt_materials *materials;
  const char *kind;
  rt_error *err;
} context;

/* A texture that must be there, its constants from low to high (`above`: low excluded). A scalar reads x alone. */
static rt_status check(const context *c, const char *field, uint32_t id, bool scalar, bool above, float low,
                       float high) {
  if (id == RT_NONE) return rt_fail(c->err, RT_BAD_DATA, "%s: %s is missing: give it", c->kind, field);
  if (id >= c->materials->n_textures)
    return rt_fail(c->err, RT_BAD_DATA, "%s: %s is texture %u, and there are %u so far: add it first", c->kind, field,
                   id, c->materials->n_textures);
  rt_bounds range = c->materials->textures[id].range;
  if (range.min.x > range.max.x) return RT_OK;
  float least = scalar ? range.min.x : f_min(range.min.x, f_min(range.min.y, range.min.z));
  float most = scalar ? range.max.x : v3_max(range.max);
  bool too_low = above ? !(least > low) : !(least >= low);
  if (!too_low && most <= high) return RT_OK;
  float wrong = too_low ? least : most;
  if (isinf(high))
    return rt_fail(c->err, RT_BAD_DATA, "%s: %s is %g: it must be at least %g", c->kind, field, wrong, low);
  return rt_fail(c->err, RT_BAD_DATA, "%s: %s is %g: it must be %s %g%s %g", c->kind, field, wrong,
                 above ? "above" : "from", low, above ? ", at most" : " to", high);
}

static rt_status check_unit(const context *c, const char *field, uint32_t id, bool scalar) {
  return check(c, field, id, scalar, false, 0.0f, 1.0f);
}

/* Copies the fields that the kind reads, checked; the others stay as RT_MATERIAL_DESC_INIT has them. */
static rt_status read_metal(const context *c, const rt_material_desc *desc, rt_material_desc *d) {
  rt_status status;
  if (desc->eta == RT_NONE && desc->k == RT_NONE) {
    d->color = desc->color;
    status = check_unit(c, "color", d->color, false);
  } else {
    d->eta = desc->eta;
    d->k = desc->k;
    status = check(c, "eta", d->eta, false, true, 0.0f, INDEX_MAX);
    if (status == RT_OK) status = check(c, "k", d->k, false, false, 0.0f, INDEX_MAX);
  }
  return status;
}

static rt_status read_parts(const context *c, const rt_material_desc *desc, rt_material_desc *d) {
  uint32_t n = c->materials->n_materials;
  if (desc->a >= n || desc->b >= n)
    return rt_fail(c->err, RT_BAD_DATA, "%s: its materials must be added before it, and there are %u so far", c->kind,
                   n);
  d->a = desc->a;
  d->b = desc->b;
  return RT_OK;
}

static rt_status read_kind(context *c, const rt_material_desc *desc, rt_material_desc *d) {
  static const char *const names[] = {"diffuse", "mirror", "metal", "glass", "plastic", "light", "two_sided", "mix"};
  if ((unsigned)desc->kind >= sizeof names / sizeof *names)
    return rt_fail(c->err, RT_BAD_DATA, "unknown kind of material %d: use one of rt_material_kind", (int)desc->kind);
  c->kind = names[desc->kind];
  d->kind = desc->kind;
  rt_status status = RT_OK;
  bool rough = false;
  switch (desc->kind) {
  case RT_MATERIAL_DIFFUSE: d->color = desc->color; return check_unit(c, "color", d->color, false);
  case RT_MATERIAL_MIRROR:
    d->color = desc->color;
    return d->color == RT_NONE ? RT_OK : check_unit(c, "color", d->color, false);
  case RT_MATERIAL_METAL:
    status = read_metal(c, desc, d);
    rough = true;
    break;
  case RT_MATERIAL_GLASS:
    d->color = desc->color;
    d->ior = desc->ior;
    if (d->color != RT_NONE) status = check_unit(c, "color", d->color, false);
    if (status == RT_OK) status = check(c, "ior", d->ior, true, false, IOR_GLASS_MIN, IOR_GLASS_MAX);
    rough = true;
    break;
  case RT_MATERIAL_PLASTIC:
    d->color = desc->color;
    d->ior = desc->ior;
    status = check_unit(c, "color", d->color, false);
    if (status == RT_OK) status = check(c, "ior", d->ior, true, false, IOR_PLASTIC_MIN, IOR_PLASTIC_MAX);
    rough = true;
    break;
  case RT_MATERIAL_LIGHT:
    if (desc->emission == RT_NONE) return rt_fail(c->err, RT_BAD_DATA, "light: its emission is missing: give it");
    break;
  case RT_MATERIAL_TWO_SIDED: return read_parts(c, desc, d);
  case RT_MATERIAL_MIX:
    status = read_parts(c, desc, d);
    d->amount = desc->amount;
    return status != RT_OK ? status : check_unit(c, "amount", d->amount, true);
  }
  if (status == RT_OK && rough && desc->roughness != RT_NONE) {
    d->roughness = desc->roughness;
    d->roughness_is_alpha = desc->roughness_is_alpha;
    status = check_unit(c, d->roughness_is_alpha ? "alpha" : "roughness", d->roughness, true);
  }
  return status;
}

static rt_status read_emission(const context *c, const rt_material_desc *desc, material *m) {
  if (desc->emission == RT_NONE) return RT_OK;
  rt_status status = check(c, "emission", desc->emission, false, false, 0.0f, INFINITY);
  if (status != RT_OK) return status;
  const texture *t = &c->materials->textures[desc->emission];
  if (desc->emission_is_power && t->kind != RT_TEXTURE_CONSTANT)
    return rt_fail(c->err, RT_BAD_DATA, "%s: an emission that is a power must be one constant: give a radiance instead",
                   c->kind);
  if (t->kind == RT_TEXTURE_CONSTANT && v3_is_zero(t->value)) return RT_OK;
  m->desc.emission = desc->emission;
  m->desc.emission_two_sided = desc->emission_two_sided;
  m->desc.emission_is_power = desc->emission_is_power;
  m->emitters = 1;
  m->units = desc->emission_is_power ? EMITS_POWER : EMITS_RADIANCE;
  m->front = true;
  m->back = desc->emission_two_sided;
  return RT_OK;
}

/* What a mix or a two_sided has from its parts. */
static rt_status read_nested(const context *c, material *m) {
  const material *a = &c->materials->materials[m->desc.a], *b = &c->materials->materials[m->desc.b];
  bool mix = m->desc.kind == RT_MATERIAL_MIX;
  m->depth = 1 + (a->depth > b->depth ? a->depth : b->depth);
  if (m->depth > RT_SHADING_NESTING)
    return rt_fail(c->err, RT_BAD_DATA, "%s: materials are nested more than %d deep: nest fewer", c->kind,
                   RT_SHADING_NESTING);
  m->emitters += a->emitters + b->emitters;
  if (m->emitters > MAX_EMITTERS)
    return rt_fail(c->err, RT_BAD_DATA, "%s: more than %u emissions in it: use fewer", c->kind, MAX_EMITTERS);
  m->front |= a->front || (mix && b->front);
  m->back |= mix ? a->back || b->back : b->front;
  m->units |= a->units | b->units;
  if (m->units == (EMITS_POWER | EMITS_RADIANCE))
    return rt_fail(c->err, RT_BAD_DATA, "%s: emits a power and a radiance: give both as radiance", c->kind);
  if (mix && m->units == EMITS_POWER && c->materials->textures[m->desc.amount].kind != RT_TEXTURE_CONSTANT)
    return rt_fail(c->err, RT_BAD_DATA,
                   "mix: the amount of an emission that is a power must be one constant: give a radiance instead");
  return RT_OK;
}

static rt_status describe(const rt_materials *materials, const rt_material_desc *desc, material *m, rt_error *err) {
  *m = (material){.desc = RT_MATERIAL_DESC_INIT, .f_internal = -1.0f};
  context c = {materials, "material", err};
  rt_status status = read_kind(&c, desc, &m->desc);
  if (status == RT_OK) status = read_emission(&c, desc, m);
  if (status == RT_OK && m->desc.a != RT_NONE) status = read_nested(&c, m);
  if (status == RT_OK && m->desc.kind == RT_MATERIAL_PLASTIC) {
    const texture *ior = &materials->textures[m->desc.ior];
    if (ior->kind == RT_TEXTURE_CONSTANT) m->f_internal = fresnel_diffuse_internal(ior->value.x);
  }
  return status;
}

/* ---- Parameters at a point, in range whatever an image holds ---- */

static float bounded(float x, float low, float high) { return x > low ? f_min(x, high) : low; } /* a NaN is low */
static rt_rgb bounded_rgb(rt_rgb c, float low, float high) {
  return v3(bounded(c.x, low, high), bounded(c.y, low, high), bounded(c.z, low, high));
}

static rt_rgb color_at(const rt_materials *materials, uint32_t id, float u, float v) {
  return id == RT_NONE ? v3_all(1.0f) : bounded_rgb(rt_texture_at(materials, id, u, v), 0.0f, 1.0f);
}

static float scalar_at(const rt_materials *materials, uint32_t id, float u, float v, float low, float high) {
  return bounded(rt_texture_at(materials, id, u, v).x, low, high);
}

static float alpha_at(const rt_materials *materials, const rt_material_desc *d, float u, float v) {
  if (d->roughness == RT_NONE) return 0.0f;
  float r = scalar_at(materials, d->roughness, u, v, 0.0f, 1.0f);
  return d->roughness_is_alpha ? r : r * r;
}

/* ---- Emission ---- */

bool rt_material_emits(const rt_materials *materials, uint32_t id) { return materials->materials[id].emitters > 0; }

bool rt_material_emission_is_power(const rt_materials *materials, uint32_t id) {
  return materials->materials[id].units == EMITS_POWER;
}

int rt_material_emission_sides(const rt_materials *materials, uint32_t id) {
  return materials->materials[id].front + materials->materials[id].back;
}

typedef struct {
  uint32_t id;
  bool front, one_side; /* one_side: within a two_sided, where only the front shines */
  float weight;
} visit;

static rt_rgb emission_at(const rt_materials *materials, uint32_t id, float u, float v, bool front) {
  visit stack[RT_SHADING_NESTING + 1]; /* each level replaces one entry by at most two */
  int n = 0;
  float sides = (float)rt_material_emission_sides(materials, id);
  rt_rgb sum = v3_all(0.0f);
  stack[n++] = (visit){id, front, false, 1.0f};
  while (n > 0) {
    visit top = stack[--n];
    const material *m = &materials->materials[top.id];
    const rt_material_desc *d = &m->desc;
    if (!(top.front ? m->front : m->back)) continue;
    if (d->emission != RT_NONE && (top.front || d->emission_two_sided)) {
      float own = !top.one_side && d->emission_two_sided ? 2.0f : 1.0f;
      float weight = d->emission_is_power ? top.weight * (sides / own) / RT_PI_F : top.weight;
      sum = v3_mad(sum, bounded_rgb(rt_texture_at(materials, d->emission, u, v), 0.0f, FLT_MAX), weight);
    }
    if (d->kind == RT_MATERIAL_TWO_SIDED) {
      stack[n++] = (visit){top.front ? d->a : d->b, true, true, top.weight};
    } else if (d->kind == RT_MATERIAL_MIX) {
      float amount = scalar_at(materials, d->amount, u, v, 0.0f, 1.0f);
      stack[n++] = (visit){d->a, top.front, top.one_side, top.weight * (1.0f - amount)};
      stack[n++] = (visit){d->b, top.front, top.one_side, top.weight * amount};
    }
  }
  return sum;
}

rt_rgb rt_material_emission(const rt_materials *materials, uint32_t id, float u, float v, bool front) {
  const material *m = &materials->materials[id];
  return m->emission_is_steady ? m->emission[front] : emission_at(materials, id, u, v, front);
}

/* ---- The BSDF at a point ---- */

/* True with probability amount; *pick is uniform again afterwards. */
static bool choose(float *pick, float amount) {
  bool second = *pick < amount;
  float rest = second ? *pick / amount : (*pick - amount) / (1.0f - amount);
  *pick = f_min(rest, 1.0f - RT_U); /* the largest float below 1 */
  return second;
}

/* Of a material without parts; all but `delta`. */
static void look_up(const rt_materials *materials, const material *m, float u, float v, rt_bsdf *out) {
  const rt_material_desc *d = &m->desc;
  *out = (rt_bsdf){.kind = RT_BSDF_NONE, .ior = 1.0f};
  switch (d->kind) {
  case RT_MATERIAL_DIFFUSE: out->kind = RT_BSDF_DIFFUSE; break;
  case RT_MATERIAL_MIRROR: out->kind = RT_BSDF_MIRROR; break;
  case RT_MATERIAL_METAL:
    out->kind = RT_BSDF_METAL;
    out->alpha = alpha_at(materials, d, u, v);
    out->schlick = d->eta == RT_NONE;
    if (out->schlick) break;
    out->eta = bounded_rgb(rt_texture_at(materials, d->eta, u, v), FLT_MIN, INDEX_MAX);
    out->k = bounded_rgb(rt_texture_at(materials, d->k, u, v), 0.0f, INDEX_MAX);
    return;
  case RT_MATERIAL_GLASS:
    out->kind = RT_BSDF_GLASS;
    out->alpha = alpha_at(materials, d, u, v);
    out->ior = scalar_at(materials, d->ior, u, v, IOR_GLASS_MIN, IOR_GLASS_MAX);
    break;
  case RT_MATERIAL_PLASTIC:
    out->kind = RT_BSDF_PLASTIC;
    out->alpha = alpha_at(materials, d, u, v);
    out->ior = scalar_at(materials, d->ior, u, v, IOR_PLASTIC_MIN, IOR_PLASTIC_MAX);
    out->f_internal = m->f_internal < 0.0f ? fresnel_diffuse_internal(out->ior) : m->f_internal;
    break;
  case RT_MATERIAL_LIGHT:
  case RT_MATERIAL_TWO_SIDED:
  case RT_MATERIAL_MIX: return;
  }
  out->color = color_at(materials, d->color, u, v);
}

static void bsdf_at(const rt_materials *materials, const material *m, float u, float v, rt_bsdf *out) {
  look_up(materials, m, u, v, out);
  out->delta = bsdf_is_delta(out);
}

const rt_bsdf *rt_material_bsdf(const rt_materials *materials, uint32_t id, float u, float v, bool front, float *pick,
                                rt_bsdf *room) {
  const material *m = &materials->materials[id];
  while (m->desc.a != RT_NONE) { /* at most RT_SHADING_NESTING times */
    bool b =
        m->desc.kind == RT_MATERIAL_MIX ? choose(pick, scalar_at(materials, m->desc.amount, u, v, 0.0f, 1.0f)) : !front;
    front |= m->desc.kind == RT_MATERIAL_TWO_SIDED;
    m = &materials->materials[b ? m->desc.b : m->desc.a];
  }
  if (m->bsdf_is_steady) return &m->bsdf;
  bsdf_at(materials, m, u, v, room);
  return room;
}

/* ---- Adding ---- */

static bool is_constant(const rt_materials *materials, uint32_t texture) {
  return texture == RT_NONE || materials->textures[texture].kind == RT_TEXTURE_CONSTANT;
}

/* Looks up once what is the same everywhere. */
static void settle(rt_materials *materials, uint32_t id) {
  material *m = &materials->materials[id];
  const rt_material_desc *d = &m->desc;
  bool whole = d->a == RT_NONE;
  m->bsdf_is_steady = whole && is_constant(materials, d->color) && is_constant(materials, d->eta) &&
                      is_constant(materials, d->k) && is_constant(materials, d->ior) &&
                      is_constant(materials, d->roughness);
  if (m->bsdf_is_steady) bsdf_at(materials, m, 0.0f, 0.0f, &m->bsdf);
  m->emission_is_steady =
      is_constant(materials, d->emission) && is_constant(materials, d->amount) &&
      (whole || (materials->materials[d->a].emission_is_steady && materials->materials[d->b].emission_is_steady));
  for (int front = 0; m->emission_is_steady && front < 2; front++)
    m->emission[front] = emission_at(materials, id, 0.0f, 0.0f, front);
}

rt_status rt_materials_add(rt_materials *materials, const rt_material_desc *desc, uint32_t *id, rt_error *err) {
  material m;
  rt_status status = describe(materials, desc, &m, err);
  if (status != RT_OK) return status;
  if (materials->n_materials == RT_NONE - 1) return rt_fail(err, RT_BAD_DATA, "too many materials: use fewer");
  void *array = materials->materials;
  if (!rt_grow(&array, &materials->material_capacity, (size_t)materials->n_materials + 1, sizeof m, err))
    return RT_NO_MEMORY;
  materials->materials = array;
  materials->materials[materials->n_materials] = m;
  *id = materials->n_materials++;
  settle(materials, *id);
  return RT_OK;
}
