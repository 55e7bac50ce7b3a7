/* Wavefront OBJ, the part of it that is a polygon mesh: v, vt, vn, f, usemtl. Everything else (groups, smoothing,
 * lines, points, curves, material libraries) is passed over.
 *
 * One pass over the text collects positions, uvs, normals, and the corners of the triangles that polygons are cut
 * into (fans); welding makes vertices of them. Decisions: what follows x y z (a weight, colours) is not read; a face
 * of one or two corners has no area and is left out, as points and lines are; a face may come before its vertices;
 * material slots are numbered by the first face that uses them, and "" is the name where none was given. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "geometry/mesh_read.h"

#define NAME_TABLE (2 * RT_MAX_SLOTS) /* a power of two */

enum { POSITION, UV, NORMAL, KINDS };
static const char *const kind_name[KINDS] = {"vertex", "texture coordinate", "normal"};
static const size_t kind_size[KINDS] = {3, 2, 3};

typedef struct {
  const char *p, *end; /* *end is 0 */
  const char *path;
  size_t line;
  rt_error *err;
  rt_status status;

  struct {
    float *values;
    size_t n, capacity;
    uint64_t largest; /* index from 1 of a face that came before what it names, and that face's line; 0: none */
    size_t largest_line;
  } attribute[KINDS];
  rt_corner *corners;
  uint32_t *slots; /* of each triangle */
  size_t n_triangles, corners_capacity, slots_capacity;

  const char *material; /* the name that usemtl gave last: a part of the text */
  size_t material_length;
  uint32_t slot; /* its slot; RT_NONE until a face uses it */
  char **names;
  size_t names_capacity;
  uint32_t n_names;
  uint32_t *name_table; /* slots by the hash of their names, + 1; 0 is empty */
} parser;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }
static bool is_newline(char c) { return c == '\n' || c == '\r'; }

/* Over the newline at p (LF, CR LF or CR). */
static const char *after_newline(const char *p) { return p[0] == '\r' && p[1] == '\n' ? p + 2 : p + 1; }

/* Over blanks, and over a newline behind a backslash. */
static void skip_blanks(parser *s) {
  for (;;) {
    if (is_blank(*s->p)) {
      s->p++;
    } else if (*s->p == '\\' && is_newline(s->p[1])) {
      s->p = after_newline(s->p + 1);
      s->line++;
    } else {
      return;
    }
  }
}

/* At the end of the statement: a newline, a comment, the end of the file. */
static bool at_end(const parser *s) { return is_newline(*s->p) || *s->p == '#' || s->p >= s->end; }
static bool at_delimiter(const parser *s) { return is_blank(*s->p) || *s->p == '\\' || at_end(s); }

/* To the end of the statement; a comment is over at the end of its line, backslash or not. */
static void skip_line(parser *s, bool continued) {
  while (s->p < s->end && !is_newline(*s->p)) {
    if (*s->p == '#') continued = false;
    if (continued && *s->p == '\\' && is_newline(s->p[1])) {
      s->p = after_newline(s->p + 1);
      s->line++;
    } else {
      s->p++;
    }
  }
}

static bool fail(parser *s, const char *problem) {
  s->status = rt_fail(s->err, RT_BAD_DATA, "%s:%zu: %s", s->path, s->line, problem);
  return false;
}

static bool reserve(parser *s, void *array, size_t *capacity, size_t n, size_t size) {
  if (n <= *capacity) return true;
  if (rt_grow(array, capacity, n, size, s->err)) return true;
  s->status = RT_NO_MEMORY;
  return false;
}

/* v, vt, vn: `needed` numbers of kind_size must be there, missing ones are 0. */
static bool read_attribute(parser *s, int kind, size_t needed) {
  size_t size = kind_size[kind];
  float value[3] = {0.0f, 0.0f, 0.0f};
  for (size_t i = 0; i < size; i++) {
    skip_blanks(s);
    if (i >= needed && at_end(s)) break;
    const char *p = rt_text_float(s->p, &value[i]);
    if (p) s->p = p;
    if (!p || !at_delimiter(s)) {
      s->status =
          rt_fail(s->err, RT_BAD_DATA, "%s:%zu: a %s wants %zu numbers", s->path, s->line, kind_name[kind], needed);
      return false;
    }
    if (!isfinite(value[i])) {
      s->status = rt_fail(s->err, RT_BAD_DATA, "%s:%zu: the %s is not finite: export the mesh again", s->path, s->line,
                          kind_name[kind]);
      return false;
    }
  }
  size_t n = s->attribute[kind].n;
  if (n >= RT_NONE - 1) return fail(s, "there are too many of them: cut the mesh into several");
  if (!reserve(s, &s->attribute[kind].values, &s->attribute[kind].capacity, n + 1, size * sizeof(float))) return false;
  memcpy(s->attribute[kind].values + n * size, value, size * sizeof(float));
  s->attribute[kind].n = n + 1;
  skip_line(s, true);
  return true;
}

static bool fail_index(parser *s, int kind, bool negative, uint64_t index, size_t line) {
  s->status =
      rt_fail(s->err, RT_BAD_DATA, "%s:%zu: the face names %s %s%llu, but the file has %zu: export it again", s->path,
              line, kind_name[kind], negative ? "-" : "", (unsigned long long)index, s->attribute[kind].n);
  return false;
}

/* An index: from 1, or from the latest backwards (-1). */
static bool read_index(parser *s, int kind, uint32_t *out) {
  bool negative = *s->p == '-';
  uint64_t index;
  const char *p = rt_text_uint(s->p + negative, &index);
  if (!p) return fail(s, "a face wants corners such as 1, 1/2, 1//3 or 1/2/3");
  s->p = p;
  if (index == 0) return fail(s, "the face has an index 0: they count from 1");
  if (negative ? index > s->attribute[kind].n : index >= RT_NONE) return fail_index(s, kind, negative, index, s->line);
  if (negative) {
    *out = (uint32_t)(s->attribute[kind].n - index);
    return true;
  }
  if (index > s->attribute[kind].n && index > s->attribute[kind].largest) {
    s->attribute[kind].largest = index;
    s->attribute[kind].largest_line = s->line;
  }
  *out = (uint32_t)(index - 1);
  return true;
}

static bool read_corner(parser *s, rt_corner *out) {
  *out = (rt_corner){RT_NONE, RT_NONE, RT_NONE};
  if (!read_index(s, POSITION, &out->position)) return false;
  if (*s->p == '/') {
    s->p++;
    if (*s->p != '/' && !at_delimiter(s) && !read_index(s, UV, &out->uv)) return false;
    if (*s->p == '/') {
      s->p++;
      if (!at_delimiter(s) && !read_index(s, NORMAL, &out->normal)) return false;
    }
  }
  return at_delimiter(s) || fail(s, "a face wants corners such as 1, 1/2, 1//3 or 1/2/3");
}

/* The slot of the current material. */
static bool find_slot(parser *s) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < s->material_length; i++) hash = (hash ^ (unsigned char)s->material[i]) * 16777619u;
  if (!s->name_table && !(s->name_table = rt_alloc(NAME_TABLE, sizeof *s->name_table, s->err))) {
    s->status = RT_NO_MEMORY;
    return false;
  }
  size_t at = hash & (NAME_TABLE - 1);
  for (; s->name_table[at] != 0; at = (at + 1) & (NAME_TABLE - 1)) {
    const char *name = s->names[s->name_table[at] - 1];
    if (strlen(name) != s->material_length || memcmp(name, s->material, s->material_length) != 0) continue;
    s->slot = s->name_table[at] - 1;
    return true;
  }
  if (s->n_names == RT_MAX_SLOTS) return fail(s, "there are more than 65536 materials: join some");
  char *name = rt_alloc(s->material_length + 1, 1, s->err);
  if (!name) s->status = RT_NO_MEMORY;
  if (!name || !reserve(s, &s->names, &s->names_capacity, s->n_names + 1, sizeof *s->names)) {
    rt_free(name);
    return false;
  }
  memcpy(name, s->material, s->material_length);
  name[s->material_length] = '\0';
  s->names[s->n_names] = name;
  s->slot = s->n_names++;
  s->name_table[at] = s->n_names;
  return true;
}

static bool add_triangle(parser *s, rt_corner a, rt_corner b, rt_corner c) {
  if (s->slot == RT_NONE && !find_slot(s)) return false;
  size_t n = s->n_triangles;
  if (n >= RT_MAX_TRIANGLES) return fail(s, "there are too many triangles: cut the mesh into several");
  if (!reserve(s, &s->corners, &s->corners_capacity, n + 1, 3 * sizeof(rt_corner)) ||
      !reserve(s, &s->slots, &s->slots_capacity, n + 1, sizeof(uint32_t)))
    return false;
  s->corners[3 * n] = a;
  s->corners[3 * n + 1] = b;
  s->corners[3 * n + 2] = c;
  s->slots[n] = s->slot;
  s->n_triangles = n + 1;
  return true;
}

static bool read_face(parser *s) {
  const rt_corner none = {RT_NONE, RT_NONE, RT_NONE};
  rt_corner first = none, last = none, corner;
  size_t n = 0;
  for (skip_blanks(s); !at_end(s); skip_blanks(s), n++) {
    if (!read_corner(s, &corner)) return false;
    if (n == 0) first = corner;
    if (n >= 2 && !add_triangle(s, first, last, corner)) return false;
    last = corner;
  }
  if (n == 0) return fail(s, "the face has no corners");
  skip_line(s, false);
  return true;
}

/* The name is the rest of the line: it may hold blanks. */
static void read_usemtl(parser *s) {
  skip_blanks(s);
  const char *begin = s->p;
  skip_line(s, false);
  const char *end = s->p;
  while (end > begin && is_blank(end[-1])) end--;
  s->material = begin;
  s->material_length = (size_t)(end - begin);
  s->slot = RT_NONE;
}

static bool read_statement(parser *s) {
  const char *p = s->p;
  if (p[0] == 'v' && is_blank(p[1])) {
    s->p += 2;
    return read_attribute(s, POSITION, 3);
  }
  if (p[0] == 'v' && p[1] == 'n' && is_blank(p[2])) {
    s->p += 3;
    return read_attribute(s, NORMAL, 3);
  }
  if (p[0] == 'v' && p[1] == 't' && is_blank(p[2])) {
    s->p += 3;
    return read_attribute(s, UV, 1);
  }
  if (p[0] == 'f' && (is_blank(p[1]) || is_newline(p[1]) || p[1] == '\\')) {
    s->p++;
    return read_face(s);
  }
  if (strncmp(p, "usemtl", 6) == 0 && (is_blank(p[6]) || is_newline(p[6]) || p + 6 == s->end)) {
    s->p += 6;
    read_usemtl(s);
    return true;
  }
  skip_line(s, true);
  return true;
}

static bool read_statements(parser *s) {
  if (strncmp(s->p, "\xef\xbb\xbf", 3) == 0) s->p += 3; /* a byte order mark */
  while (s->p < s->end) {
    skip_blanks(s);
    if (!at_end(s) || *s->p == '#') {
      if (!read_statement(s)) return false;
    }
    if (s->p < s->end) {
      s->p = after_newline(s->p);
      s->line++;
    }
  }
  for (int kind = 0; kind < KINDS; kind++)
    if (s->attribute[kind].largest > s->attribute[kind].n)
      return fail_index(s, kind, false, s->attribute[kind].largest, s->attribute[kind].largest_line);
  if (s->n_triangles > 0) return true;
  s->status = rt_fail(s->err, RT_BAD_DATA, "%s: no faces in it: is it an OBJ with polygons?", s->path);
  return false;
}

rt_status rt_obj_read(rt_mesh_parts *out, const char *text, size_t size, const char *path, rt_error *err) {
  parser s = {.p = text, .end = text + size, .path = path, .line = 1, .err = err, .material = "", .slot = RT_NONE};
  rt_mesh_parts parts = {0};
  if (read_statements(&s)) {
    rt_soup soup = {s.attribute[POSITION].values,
                    s.attribute[UV].values,
                    s.attribute[NORMAL].values,
                    s.attribute[POSITION].n,
                    s.attribute[UV].n,
                    s.attribute[NORMAL].n,
                    s.corners,
                    s.n_triangles};
    s.status = rt_weld(&parts, &soup, err);
  }
  for (int kind = 0; kind < KINDS; kind++) rt_free(s.attribute[kind].values);
  rt_free(s.corners);
  rt_free(s.name_table);
  parts.slot_names = s.names;
  parts.n_slots = s.n_names;
  if (s.n_names > 1)
    parts.material_slots = s.slots;
  else
    rt_free(s.slots);
  if (s.status == RT_OK)
    *out = parts;
  else
    rt_mesh_parts_free(&parts);
  return s.status;
}
