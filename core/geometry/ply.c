/* PLY (Turk 1994): a text header that describes elements and their properties, then the elements as text or as
 * binary numbers of either byte order.
 *
 * Read are vertex x y z, nx ny nz, (u v | s t | texture_u texture_v), face vertex_indices | vertex_index, and face
 * texcoord (a uv for each corner, as MeshLab writes it); all else is stepped over. Properties may have any type and
 * order; a face may have any number of corners (those with fewer than three have no area and are left out). In text
 * a row is a line. What the header claims is held against the size of the file before memory is taken. Errors count
 * vertices and faces from 0, as the file does. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "geometry/mesh_read.h"

typedef enum { INT8, UINT8, INT16, UINT16, INT32, UINT32, FLOAT32, FLOAT64, TYPES } type;
static const struct {
  const char *name, *old_name;
  size_t size;
} types[TYPES] = {
    {"int8", "char", 1}, {"uint8", "uchar", 1}, {"int16", "short", 2},   {"uint16", "ushort", 2},
    {"int32", "int", 4}, {"uint32", "uint", 4}, {"float32", "float", 4}, {"float64", "double", 8},
};

/* What a property is for. The first eight are places in a vertex. */
typedef enum { X, Y, Z, NX, NY, NZ, U, V, INDICES, TEXCOORD, OTHER } role;
static const struct {
  const char *name;
  role role;
} vertex_roles[] = {
    {"x", X}, {"y", Y}, {"z", Z}, {"nx", NX}, {"ny", NY},       {"nz", NZ},
    {"u", U}, {"v", V}, {"s", U}, {"t", V},   {"texture_u", U}, {"texture_v", V},
};
static const struct {
  const char *name;
  role role;
} face_roles[] = {{"vertex_indices", INDICES}, {"vertex_index", INDICES}, {"texcoord", TEXCOORD}};

typedef struct {
  type type;
  type count_type; /* of a list */
  bool is_list;
  role role;
} property;

typedef enum { VERTEX, FACE, OTHER_ELEMENT } element_kind;
typedef struct {
  element_kind kind;
  uint64_t count;
  char name[32];   /* for errors */
  size_t first, n; /* its properties */
  uint32_t roles;  /* a bit for each role that its properties have */
} element;

typedef struct {
  const char *p, *end; /* *end is 0 */
  const char *path;
  size_t line; /* of p, in text */
  bool ascii, big_endian;
  rt_error *err;

  element *elements;
  property *properties;
  size_t n_elements, n_properties, elements_capacity, properties_capacity;
  const element *vertex, *face;
  const property *indices; /* the face's */

  rt_mesh_parts parts;
  size_t indices_capacity; /* in triangles */
  uint32_t *corners;       /* of one face */
  float *texcoords;
  size_t n_corners, n_texcoords, corners_capacity, texcoords_capacity;
  float *corner_uvs; /* 6 floats for each triangle, where faces have them */
  size_t corner_uvs_capacity;
} reader;

#define HAS(roles, role) ((roles) >> (role)&1)

/* RT_BAD_DATA: "FILE:LINE: ..." in text, "FILE: ..." in binary. */
static rt_status __attribute__((format(printf, 2, 3))) fail(reader *r, const char *format, ...) {
  char problem[256];
  va_list args;
  va_start(args, format);
  vsnprintf(problem, sizeof problem, format, args);
  va_end(args);
  if (r->ascii) return rt_fail(r->err, RT_BAD_DATA, "%s:%zu: %s", r->path, r->line, problem);
  return rt_fail(r->err, RT_BAD_DATA, "%s: %s", r->path, problem);
}

/* ---- The header -------------------------------------------------------------------------------------------------- */

/* Copies the next word of the line [*p, end), cut to size - 1 characters; "" when there is none. */
static void next_word(const char **p, const char *end, char *word, size_t size) {
  size_t n = 0;
  while (*p < end && (**p == ' ' || **p == '\t')) (*p)++;
  for (; *p < end && **p != ' ' && **p != '\t'; (*p)++)
    if (n + 1 < size) word[n++] = **p;
  word[n] = '\0';
}

static bool find_type(const char *name, type *out) {
  for (int i = 0; i < TYPES; i++) {
    if (strcmp(name, types[i].name) != 0 && strcmp(name, types[i].old_name) != 0) continue;
    *out = (type)i;
    return true;
  }
  return false;
}

static rt_status add_element(reader *r, const char *p, const char *end) {
  char word[64];
  element e = {.kind = OTHER_ELEMENT, .first = r->n_properties};
  next_word(&p, end, e.name, sizeof e.name);
  next_word(&p, end, word, sizeof word);
  const char *behind = rt_text_uint(word, &e.count);
  if (!behind || *behind) return fail(r, "element '%s' has no count", e.name);
  if (strcmp(e.name, "vertex") == 0) e.kind = VERTEX;
  if (strcmp(e.name, "face") == 0) e.kind = FACE;
  for (size_t i = 0; i < r->n_elements; i++)
    if (e.kind != OTHER_ELEMENT && r->elements[i].kind == e.kind) return fail(r, "element '%s' is there twice", e.name);
  if (!rt_grow((void **)&r->elements, &r->elements_capacity, r->n_elements + 1, sizeof e, r->err)) return RT_NO_MEMORY;
  r->elements[r->n_elements++] = e;
  return RT_OK;
}

static role find_role(const element *e, const char *name) {
  if (e->kind == VERTEX)
    for (size_t i = 0; i < sizeof vertex_roles / sizeof *vertex_roles; i++)
      if (strcmp(name, vertex_roles[i].name) == 0) return vertex_roles[i].role;
  if (e->kind == FACE)
    for (size_t i = 0; i < sizeof face_roles / sizeof *face_roles; i++)
      if (strcmp(name, face_roles[i].name) == 0) return face_roles[i].role;
  return OTHER;
}

static rt_status add_property(reader *r, const char *p, const char *end) {
  char word[64], name[64];
  property made = {0};
  if (r->n_elements == 0) return fail(r, "a property comes before the first element");
  element *e = &r->elements[r->n_elements - 1];
  next_word(&p, end, word, sizeof word);
  made.is_list = strcmp(word, "list") == 0;
  if (made.is_list) {
    next_word(&p, end, word, sizeof word);
    if (!find_type(word, &made.count_type)) return fail(r, "unknown type '%s'", word);
    if (made.count_type >= FLOAT32) return fail(r, "the type of a list's length is '%s': it must be whole", word);
    next_word(&p, end, word, sizeof word);
  }
  if (!find_type(word, &made.type)) return fail(r, "unknown type '%s'", word);
  next_word(&p, end, name, sizeof name);
  made.role = find_role(e, name);
  if (made.is_list != (e->kind == FACE)) {
    if (made.role == INDICES) return fail(r, "property '%s' must be a list", name);
    made.role = OTHER;
  }
  if (HAS(e->roles, made.role)) made.role = OTHER; /* the first of two names wins */
  e->roles |= 1u << made.role;
  if (!rt_grow((void **)&r->properties, &r->properties_capacity, r->n_properties + 1, sizeof made, r->err))
    return RT_NO_MEMORY;
  r->properties[r->n_properties++] = made;
  e->n++;
  return RT_OK;
}

static rt_status read_format(reader *r, const char *p, const char *end, bool *binary) {
  char word[64];
  next_word(&p, end, word, sizeof word);
  r->big_endian = strcmp(word, "binary_big_endian") == 0;
  *binary = r->big_endian || strcmp(word, "binary_little_endian") == 0;
  if (!*binary && strcmp(word, "ascii") != 0)
    return fail(r, "unknown format '%s': ascii, binary_little_endian and binary_big_endian are read", word);
  return RT_OK;
}

/* Up to what stands behind end_header. */
static rt_status read_header(reader *r) {
  bool binary = false, known = false;
  bool crlf = r->p[3] == '\r' && r->p[4] == '\n', cr = r->p[3] == '\r' && !crlf;
  r->ascii = true;
  for (r->line = 1;; r->line++) {
    const char *end = r->p < r->end ? memchr(r->p, cr ? '\r' : '\n', (size_t)(r->end - r->p)) : NULL;
    if (!end) return fail(r, "the header has no end_header");
    const char *p = r->p, *text_end = end > p && end[-1] == '\r' ? end - 1 : end;
    r->p = end + 1;
    char word[64];
    next_word(&p, text_end, word, sizeof word);
    rt_status status = RT_OK;
    if (strcmp(word, "end_header") == 0) break;
    if (strcmp(word, "format") == 0) {
      status = read_format(r, p, text_end, &binary);
      known = true;
    } else if (strcmp(word, "element") == 0) {
      status = add_element(r, p, text_end);
    } else if (strcmp(word, "property") == 0) {
      status = add_property(r, p, text_end);
    } else if (r->line > 1 && *word && strcmp(word, "comment") != 0 && strcmp(word, "obj_info") != 0) {
      status = fail(r, "unknown statement '%s' in the header", word);
    }
    if (status != RT_OK) return status;
  }
  if (!known) return fail(r, "the header has no format");
  r->line++;
  r->ascii = !binary;
  return RT_OK;
}

/* The least number of bytes that a row takes: in text a digit and a blank for each number, in binary every list
 * empty. */
static size_t least_row(const reader *r, const element *e) {
  size_t bytes = 0;
  for (size_t i = 0; i < e->n; i++) {
    const property *p = &r->properties[e->first + i];
    bytes += r->ascii ? 2 : types[p->is_list ? p->count_type : p->type].size;
  }
  return bytes;
}

static rt_status check_header(reader *r) {
  uint64_t left = (uint64_t)(r->end - r->p) + 1; /* the last number needs no blank behind it */
  for (size_t i = 0; i < r->n_elements; i++) {
    const element *e = &r->elements[i];
    if (e->kind == VERTEX) r->vertex = e;
    if (e->kind == FACE) r->face = e;
    size_t row = least_row(r, e);
    if (row > 0 && e->count > left / row)
      return rt_fail(
          r->err, RT_BAD_DATA,
          "%s: the header claims %llu '%s' elements, more than its %zu bytes of data can hold: export the file again",
          r->path, (unsigned long long)e->count, e->name, (size_t)(r->end - r->p));
    left -= e->count * row;
  }
  const uint32_t xyz = 1u << X | 1u << Y | 1u << Z;
  if (!r->vertex || (r->vertex->roles & xyz) != xyz)
    return rt_fail(r->err, RT_BAD_DATA, "%s: the PLY has no vertices with x, y and z", r->path);
  for (size_t i = 0; r->face && i < r->face->n; i++)
    if (r->properties[r->face->first + i].role == INDICES) r->indices = &r->properties[r->face->first + i];
  if (!r->face || !r->indices || r->face->count == 0)
    return rt_fail(r->err, RT_BAD_DATA, "%s: the PLY has no faces (vertex_indices): points alone are not a surface",
                   r->path);
  if (r->vertex->count >= RT_NONE)
    return rt_fail(r->err, RT_BAD_DATA, "%s: the PLY has too many vertices: cut it into several", r->path);
  return RT_OK;
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }
static bool is_newline(char c) { return c == '\n' || c == '\r'; }

/* In text a row is a line: the next one that is not empty. */
static void begin_row(reader *r) {
  for (; r->ascii && (is_blank(*r->p) || is_newline(*r->p)); r->p++)
    if (*r->p == '\n' || (*r->p == '\r' && r->p[1] != '\n')) r->line++;
}

/* What follows the last property is passed over: MeshLab writes colours of corners that its header keeps silent
 * about. */
static void end_row(reader *r) {
  while (r->ascii && r->p < r->end && !is_newline(*r->p)) r->p++;
}

static bool read_text(reader *r, type t, double *out) {
  while (is_blank(*r->p)) r->p++;
  const char *p = r->p;
  if (t >= FLOAT32) {
    float v;
    p = rt_text_float(p, &v);
    if (p) *out = v;
  } else {
    uint64_t v;
    bool negative = *p == '-';
    p = rt_text_uint(p + (negative || *p == '+'), &v);
    if (p) *out = negative ? -(double)v : (double)v;
  }
  if (!p || (p < r->end && !is_blank(*p) && !is_newline(*p))) return false;
  r->p = p;
  return true;
}

/* Of a size that is known where this is inlined, it is one load. */
static inline uint64_t load_bits(const unsigned char *bytes, size_t size, bool big_endian) {
  uint64_t bits = 0;
  if (big_endian)
    for (size_t i = 0; i < size; i++) bits |= (uint64_t)bytes[size - 1 - i] << (8 * i);
  else
    for (size_t i = 0; i < size; i++) bits |= (uint64_t)bytes[i] << (8 * i);
  return bits;
}

static double load_number(const unsigned char *bytes, type t, bool big_endian) {
  switch (t) {
  case INT8: return (double)(int8_t)bytes[0];
  case UINT8: return (double)bytes[0];
  case INT16: return (double)(int16_t)load_bits(bytes, 2, big_endian);
  case UINT16: return (double)load_bits(bytes, 2, big_endian);
  case INT32: return (double)(int32_t)load_bits(bytes, 4, big_endian);
  case UINT32: return (double)load_bits(bytes, 4, big_endian);
  case FLOAT32: {
    uint32_t bits = (uint32_t)load_bits(bytes, 4, big_endian);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
  }
  default: {
    uint64_t bits = load_bits(bytes, 8, big_endian);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
  }
  }
}

/* A number of any type, exact in double (text of a floating type: rounded to float). */
static bool read_number(reader *r, type t, double *out) {
  if (r->ascii) return read_text(r, t, out);
  if ((size_t)(r->end - r->p) < types[t].size) return false;
  *out = load_number((const unsigned char *)r->p, t, r->big_endian);
  r->p += types[t].size;
  return true;
}

static bool skip_numbers(reader *r, type t, uint64_t n) {
  if (!r->ascii) {
    if (n > (uint64_t)(r->end - r->p) / types[t].size) return false;
    r->p += n * types[t].size;
    return true;
  }
  for (; n > 0; n--) {
    while (is_blank(*r->p)) r->p++;
    if (r->p >= r->end || is_newline(*r->p)) return false;
    while (r->p < r->end && !is_blank(*r->p) && !is_newline(*r->p)) r->p++;
  }
  return true;
}

/* A list's length; false also for one that the rest of the file cannot hold. */
static bool read_length(reader *r, const property *p, uint64_t *out) {
  double v;
  if (!read_number(r, p->count_type, &v) || !(v >= 0.0 && v < 0x1p63)) return false;
  *out = (uint64_t)v;
  uint64_t least = r->ascii ? 2 : types[p->type].size;
  return *out <= ((uint64_t)(r->end - r->p) + (r->ascii ? 1 : 0)) / least;
}

static rt_status fail_row(reader *r, const char *name, uint64_t row, uint64_t count) {
  return fail(r, "%s %llu of %llu is damaged, or the file is cut short there: export it again", name,
              (unsigned long long)row, (unsigned long long)count);
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static bool skip_property(reader *r, const property *p) {
  uint64_t n = 1;
  return (!p->is_list || read_length(r, p, &n)) && skip_numbers(r, p->type, n);
}

static rt_status skip_element(reader *r, const element *e) {
  for (uint64_t row = 0; e->n > 0 && row < e->count; row++) {
    begin_row(r);
    for (size_t i = 0; i < e->n; i++)
      if (!skip_property(r, &r->properties[e->first + i])) return fail_row(r, e->name, row, e->count);
    end_row(r);
  }
  return RT_OK;
}

static rt_status read_vertices(reader *r, const element *e) {
  const uint32_t normal = 1u << NX | 1u << NY | 1u << NZ, uv = 1u << U | 1u << V;
  bool normals = (e->roles & normal) == normal, uvs = (e->roles & uv) == uv;
  rt_mesh_parts *m = &r->parts;
  m->n_vertices = (size_t)e->count;
  m->vertices = rt_alloc(m->n_vertices, 3 * sizeof(float), r->err);
  m->normals = normals && m->vertices ? rt_alloc(m->n_vertices, 3 * sizeof(float), r->err) : NULL;
  m->uvs = uvs && m->vertices ? rt_alloc(m->n_vertices, 2 * sizeof(float), r->err) : NULL;
  if (!m->vertices || (normals && !m->normals) || (uvs && !m->uvs)) return RT_NO_MEMORY;
  for (size_t row = 0; row < m->n_vertices; row++) {
    float values[OTHER] = {0.0f};
    begin_row(r);
    for (size_t i = 0; i < e->n; i++) {
      const property *p = &r->properties[e->first + i];
      double v;
      if (p->role == OTHER ? !skip_property(r, p) : !read_number(r, p->type, &v))
        return fail_row(r, "vertex", row, e->count);
      if (p->role == OTHER) continue;
      values[p->role] = (float)v;
      bool used = p->role <= Z || (p->role <= NZ ? normals : uvs);
      if (used && !isfinite(values[p->role])) return fail(r, "vertex %zu is not finite: export the mesh again", row);
    }
    end_row(r);
    memcpy(m->vertices + 3 * row, values + X, 3 * sizeof(float));
    if (normals) memcpy(m->normals + 3 * row, values + NX, 3 * sizeof(float));
    if (uvs) memcpy(m->uvs + 2 * row, values + U, 2 * sizeof(float));
  }
  return RT_OK;
}

static rt_status read_corners(reader *r, const property *p, uint64_t row) {
  uint64_t n;
  if (!read_length(r, p, &n)) return fail_row(r, "face", row, r->face->count);
  if (n > r->corners_capacity &&
      !rt_grow((void **)&r->corners, &r->corners_capacity, (size_t)n, sizeof(uint32_t), r->err))
    return RT_NO_MEMORY;
  r->n_corners = (size_t)n;
  for (size_t i = 0; i < n; i++) {
    double v;
    if (!read_number(r, p->type, &v)) return fail_row(r, "face", row, r->face->count);
    bool in_range = v >= 0.0 && v < (double)r->vertex->count; /* which is below 2^32 */
    if (!in_range || v != (double)(uint32_t)v)
      return fail(r, "face %llu names vertex %.17g, but the file has %llu: export the mesh again",
                  (unsigned long long)row, v, (unsigned long long)r->vertex->count);
    r->corners[i] = (uint32_t)v;
  }
  return RT_OK;
}

static rt_status read_texcoords(reader *r, const property *p, uint64_t row) {
  uint64_t n;
  if (!read_length(r, p, &n)) return fail_row(r, "face", row, r->face->count);
  if (n > r->texcoords_capacity &&
      !rt_grow((void **)&r->texcoords, &r->texcoords_capacity, (size_t)n, sizeof(float), r->err))
    return RT_NO_MEMORY;
  r->n_texcoords = (size_t)n;
  for (size_t i = 0; i < n; i++) {
    double v;
    if (!read_number(r, p->type, &v)) return fail_row(r, "face", row, r->face->count);
    r->texcoords[i] = (float)v;
    if (!isfinite(r->texcoords[i]))
      return fail(r, "face %llu has a texture coordinate that is not finite: export the mesh again",
                  (unsigned long long)row);
  }
  return RT_OK;
}

/* Cuts the face that was read into a fan. */
static rt_status add_face(reader *r, bool texcoords) {
  if (r->n_corners < 3) return RT_OK;
  size_t made = r->n_corners - 2, n = r->parts.n_triangles;
  if (made > RT_MAX_TRIANGLES - n)
    return rt_fail(r->err, RT_BAD_DATA, "%s: the PLY has too many triangles: cut it into several", r->path);
  if (n + made > r->indices_capacity &&
      !rt_grow((void **)&r->parts.indices, &r->indices_capacity, n + made, 3 * sizeof(uint32_t), r->err))
    return RT_NO_MEMORY;
  if (texcoords && n + made > r->corner_uvs_capacity &&
      !rt_grow((void **)&r->corner_uvs, &r->corner_uvs_capacity, n + made, 6 * sizeof(float), r->err))
    return RT_NO_MEMORY;
  bool whole = r->n_texcoords == 2 * r->n_corners; /* else (0, 0) */
  for (size_t i = 0; i < made; i++) {
    const size_t corner[3] = {0, i + 1, i + 2};
    for (int k = 0; k < 3; k++) {
      r->parts.indices[3 * (n + i) + k] = r->corners[corner[k]];
      if (!texcoords) continue;
      float *uv = r->corner_uvs + 6 * (n + i) + 2 * k;
      uv[0] = whole ? r->texcoords[2 * corner[k]] : 0.0f;
      uv[1] = whole ? r->texcoords[2 * corner[k] + 1] : 0.0f;
    }
  }
  r->parts.n_triangles = n + made;
  return RT_OK;
}

static rt_status read_faces(reader *r, const element *e) {
  bool texcoords = HAS(e->roles, TEXCOORD);
  /* As many as there can be of triangles, which most meshes are made of: no growing then. */
  uint64_t least = r->ascii ? 8 : 1 + 3 * types[r->indices->type].size, most = (uint64_t)(r->end - r->p) / least;
  size_t likely = (size_t)(e->count < most ? e->count : most);
  if (likely > 0 && !rt_grow((void **)&r->parts.indices, &r->indices_capacity, likely, 3 * sizeof(uint32_t), r->err))
    return RT_NO_MEMORY;
  for (uint64_t row = 0; row < e->count; row++) {
    r->n_corners = r->n_texcoords = 0;
    begin_row(r);
    for (size_t i = 0; i < e->n; i++) {
      const property *p = &r->properties[e->first + i];
      rt_status status = RT_OK;
      if (p->role == INDICES)
        status = read_corners(r, p, row);
      else if (p->role == TEXCOORD)
        status = read_texcoords(r, p, row);
      else if (!skip_property(r, p))
        status = fail_row(r, "face", row, e->count);
      if (status != RT_OK) return status;
    }
    end_row(r);
    rt_status status = add_face(r, texcoords);
    if (status != RT_OK) return status;
  }
  return RT_OK;
}

/* Corners that have uvs of their own: vertices are split where these differ. */
static rt_status weld_texcoords(reader *r) {
  size_t n = r->parts.n_triangles;
  rt_corner *corners = rt_alloc(n, 3 * sizeof *corners, r->err);
  if (!corners) return RT_NO_MEMORY;
  for (size_t i = 0; i < 3 * n; i++)
    corners[i] = (rt_corner){r->parts.indices[i], (uint32_t)i, r->parts.normals ? r->parts.indices[i] : RT_NONE};
  rt_soup soup = {
      r->parts.vertices, r->corner_uvs, r->parts.normals, r->parts.n_vertices, 3 * n, r->parts.n_vertices, corners, n};
  rt_mesh_parts welded = {0};
  rt_status status = rt_weld(&welded, &soup, r->err);
  rt_free(corners);
  rt_mesh_parts_free(&r->parts);
  r->parts = welded;
  return status;
}

static rt_status read_elements(reader *r) {
  bool vertices = false, faces = false;
  for (size_t i = 0; i < r->n_elements && !(vertices && faces); i++) {
    const element *e = &r->elements[i];
    rt_status status = e->kind == VERTEX ? read_vertices(r, e)
                       : e->kind == FACE ? read_faces(r, e)
                                         : skip_element(r, e);
    if (status != RT_OK) return status;
    vertices = vertices || e->kind == VERTEX;
    faces = faces || e->kind == FACE;
  }
  if (r->parts.n_triangles == 0)
    return rt_fail(r->err, RT_BAD_DATA, "%s: no face of the PLY has three corners", r->path);
  return r->corner_uvs ? weld_texcoords(r) : RT_OK;
}

rt_status rt_ply_read(rt_mesh_parts *out, const char *text, size_t size, const char *path, rt_error *err) {
  reader r = {.p = text, .end = text + size, .path = path, .err = err};
  rt_status status = read_header(&r);
  if (status == RT_OK) status = check_header(&r);
  if (status == RT_OK) status = read_elements(&r);
  rt_free(r.elements);
  rt_free(r.properties);
  rt_free(r.corners);
  rt_free(r.texcoords);
  rt_free(r.corner_uvs);
  if (status == RT_OK)
    *out = r.parts;
  else
    rt_mesh_parts_free(&r.parts);
  return status;
}
