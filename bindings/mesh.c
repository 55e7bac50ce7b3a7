/* rtlua.core.mesh: triangle meshes from files and from Lua tables.
 *
 * An array is flat numbers, {x, y, z, x, y, z, ...}, or tuples, {{x, y, z}, ...}; its first element tells. Everything
 * that is wrong with the data is a failure (nil, message, 65) that names the element as Lua counts: the scene, not
 * its caller's code, is at fault. Arrays are read raw into userdata, so that a million of triangles takes a tenth of
 * a second and an error leaks nothing. */
#include <limits.h>
#include <math.h>

#include "bind.h"

static rtl_mesh *to_mesh(lua_State *L, int index) {
  rtl_mesh *u = luaL_checkudata(L, index, RTL_MESH);
  if (!u->mesh) luaL_argerror(L, index, "the mesh is closed");
  return u;
}

static int l_close(lua_State *L) {
  rtl_mesh *u = luaL_checkudata(L, 1, RTL_MESH);
  rt_mesh_free(u->mesh);
  u->mesh = NULL;
  return 0;
}

static int l_load(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (rtl_refuse_reading(L, path)) return 3;
  rt_error err;
  rtl_mesh *u = rtl_new_mesh(L);
  return rtl_result(L, rt_mesh_load(&u->mesh, path, &err), &err, 1);
}

/* ---- Arrays ---- */

typedef struct {
  lua_State *L;
  const char *name;
  int table;     /* stack index */
  size_t length; /* of the table */
  int width;     /* numbers a tuple has */
  bool tuples;
  size_t count; /* tuples */
} array;

/* Opens field `name` of the table at 1 and leaves it on the stack. 0: absent; 1: there; -1: a failure is on the
 * stack. */
static int open_array(lua_State *L, array *a, const char *name, int width) {
  lua_pushstring(L, name);
  int type = lua_rawget(L, 1);
  *a = (array){.L = L, .name = name, .table = lua_gettop(L), .width = width};
  if (type == LUA_TNIL) return 0;
  if (type != LUA_TTABLE) {
    rtl_failure(L, RT_BAD_DATA, "%s is a %s: give a list of numbers", name, lua_typename(L, type));
    return -1;
  }
  a->length = lua_rawlen(L, a->table);
  a->tuples = lua_rawgeti(L, a->table, 1) == LUA_TTABLE;
  lua_pop(L, 1);
  a->count = a->tuples ? a->length : a->length / (size_t)width;
  if (!a->tuples && a->length % (size_t)width != 0) {
    rtl_failure(L, RT_BAD_DATA, "%s has %I numbers, which is no multiple of %d", name, (lua_Integer)a->length, width);
    return -1;
  }
  if (a->count > UINT32_MAX - 1u) {
    rtl_failure(L, RT_BAD_DATA, "%s has more elements than a mesh can hold", name);
    return -1;
  }
  return 1;
}

/* Names element i (from 0, in numbers) as Lua does: vertices[7], or vertices[3][1]. */
static int bad_element(const array *a, size_t i, const char *what) {
  lua_State *L = a->L;
  lua_Integer tuple = (lua_Integer)(i / (size_t)a->width) + 1, part = (lua_Integer)(i % (size_t)a->width) + 1;
  if (a->tuples) return rtl_failure(L, RT_BAD_DATA, "%s[%I][%I] %s", a->name, tuple, part, what);
  return rtl_failure(L, RT_BAD_DATA, "%s[%I] %s", a->name, (lua_Integer)i + 1, what);
}

/* The stack index of the table that holds numbers of tuple i; -1: a failure is on the stack. Tuples stay on the stack
 * until close_tuple. */
static int open_tuple(const array *a, size_t i) {
  if (!a->tuples) return a->table;
  int type = lua_rawgeti(a->L, a->table, (lua_Integer)i + 1);
  if (type == LUA_TTABLE) return lua_gettop(a->L);
  rtl_failure(a->L, RT_BAD_DATA, "%s[%I] is a %s: give a list of %d numbers", a->name, (lua_Integer)i + 1,
              lua_typename(a->L, type), a->width);
  return -1;
}

static void close_tuple(const array *a) {
  if (a->tuples) lua_pop(a->L, 1);
}

/* A component of a tuple: by position, or by name where the tuple is a vector with x, y and z. */
static int push_component(const array *a, int tuple, size_t i, int part) {
  static const char *const names[] = {"x", "y", "z"};
  if (!a->tuples) return lua_rawgeti(a->L, tuple, (lua_Integer)(i * (size_t)a->width) + part + 1);
  int type = lua_rawgeti(a->L, tuple, part + 1);
  if (type != LUA_TNIL) return type;
  lua_pop(a->L, 1);
  lua_pushstring(a->L, names[part]);
  return lua_rawget(a->L, tuple);
}

/* Floats of the array in a userdata that stays on the stack; NULL: a failure is on the stack. */
static const float *read_floats(const array *a) {
  lua_State *L = a->L;
  size_t width = (size_t)a->width;
  float *out = lua_newuserdatauv(L, a->count * width * sizeof *out, 0);
  for (size_t i = 0; i < a->count; i++) {
    int tuple = open_tuple(a, i);
    if (tuple < 0) return NULL;
    for (int c = 0; c < a->width; c++) {
      size_t at = i * width + (size_t)c;
      int type = push_component(a, tuple, i, c);
      if (type != LUA_TNUMBER) {
        const char *what = lua_pushfstring(L, "is a %s: give a number", lua_typename(L, type));
        bad_element(a, at, what);
        return NULL;
      }
      out[at] = (float)lua_tonumber(L, -1);
      if (!isfinite(out[at])) {
        bad_element(a, at, isnan(out[at]) ? "is not a number (nan)" : "is infinite or too large");
        return NULL;
      }
      lua_pop(L, 1);
    }
    close_tuple(a);
  }
  return out;
}

/* Integers from 1 to `limit`, stored from 0, in a userdata that stays on the stack; NULL: a failure is on the stack. */
static const uint32_t *read_ids(const array *a, lua_Integer limit) {
  lua_State *L = a->L;
  size_t width = (size_t)a->width;
  uint32_t *out = lua_newuserdatauv(L, a->count * width * sizeof *out, 0);
  for (size_t i = 0; i < a->count; i++) {
    int tuple = open_tuple(a, i);
    if (tuple < 0) return NULL;
    for (int c = 0; c < a->width; c++) {
      size_t at = i * width + (size_t)c;
      int type = push_component(a, tuple, i, c), exact = 0;
      lua_Integer v = type == LUA_TNUMBER ? lua_tointegerx(L, -1, &exact) : 0;
      if (!exact || v < 1 || v > limit) {
        const char *given =
            type == LUA_TNUMBER ? luaL_tolstring(L, -1, NULL) : lua_pushfstring(L, "a %s", lua_typename(L, type));
        const char *what = lua_pushfstring(L, "is %s: integers from 1 to %I are allowed", given, limit);
        bad_element(a, at, what);
        return NULL;
      }
      out[at] = (uint32_t)(v - 1);
      lua_pop(L, 1);
    }
    close_tuple(a);
  }
  return out;
}

/* Normals and uvs: absent, or one per vertex. False: a failure is on the stack. */
static bool read_per_vertex(lua_State *L, const char *name, int width, size_t n_vertices, const float **out) {
  array a;
  int there = open_array(L, &a, name, width);
  if (there <= 0) return there == 0;
  if (a.count != n_vertices) {
    rtl_failure(L, RT_BAD_DATA, "%s has %I elements, vertices has %I: give one per vertex", name, (lua_Integer)a.count,
                (lua_Integer)n_vertices);
    return false;
  }
  *out = read_floats(&a);
  return *out != NULL;
}

static int l_new(lua_State *L) {
  array a;
  rt_mesh_data data = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rtl_mesh *u = rtl_new_mesh(L);
  data.name = rtl_push_string(L, 1, "name");
  if (!data.name) data.name = "mesh";

  int there = open_array(L, &a, "vertices", 3);
  if (there == 0) return luaL_error(L, "vertices: list of numbers expected, got nil");
  if (there < 0 || !(data.vertices = read_floats(&a))) return 3;
  data.n_vertices = a.count;

  there = open_array(L, &a, "indices", 3);
  if (there == 0) return luaL_error(L, "indices: list of integers expected, got nil");
  if (there < 0 || !(data.indices = read_ids(&a, (lua_Integer)data.n_vertices))) return 3;
  data.n_triangles = a.count;

  if (!read_per_vertex(L, "normals", 3, data.n_vertices, &data.normals)) return 3;
  if (!read_per_vertex(L, "uvs", 2, data.n_vertices, &data.uvs)) return 3;

  there = open_array(L, &a, "material_slots", 1);
  if (there < 0) return 3;
  if (there > 0) {
    if (a.count != data.n_triangles)
      return rtl_failure(L, RT_BAD_DATA, "material_slots has %I elements for %I triangles: give one per triangle",
                         (lua_Integer)a.count, (lua_Integer)data.n_triangles);
    if (!(data.material_slots = read_ids(&a, INT_MAX))) return 3;
  }

  rt_error err;
  rt_status status = rt_mesh_new(&u->mesh, &data, &err);
  lua_settop(L, 2);
  return rtl_result(L, status, &err, 1);
}

/* ---- Methods ---- */

static int l_triangles(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)rt_mesh_triangles(to_mesh(L, 1)->mesh));
  return 1;
}

static int l_vertices(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)rt_mesh_vertices(to_mesh(L, 1)->mesh));
  return 1;
}

static int l_bounds(lua_State *L) {
  rt_bounds bounds = rt_mesh_bounds(to_mesh(L, 1)->mesh);
  lua_createtable(L, 0, 2);
  rtl_set_vec3(L, "min", bounds.min);
  rtl_set_vec3(L, "max", bounds.max);
  return 1;
}

static int l_slots(lua_State *L) {
  const rt_mesh *mesh = to_mesh(L, 1)->mesh;
  uint32_t n = rt_mesh_slots(mesh);
  lua_newtable(L);
  for (uint32_t i = 0; i < n; i++) {
    lua_pushstring(L, rt_mesh_slot_name(mesh, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int l_tostring(lua_State *L) {
  rtl_mesh *u = luaL_checkudata(L, 1, RTL_MESH);
  if (u->mesh)
    lua_pushfstring(L, "mesh (%I triangles)", (lua_Integer)rt_mesh_triangles(u->mesh));
  else
    lua_pushliteral(L, "closed mesh");
  return 1;
}

static const luaL_Reg methods[] = {{"triangles", l_triangles}, {"vertices", l_vertices}, {"bounds", l_bounds},
                                   {"slots", l_slots},         {"close", l_close},       {NULL, NULL}};
static const luaL_Reg metamethods[] = {
    {"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL}};

rtl_mesh *rtl_new_mesh(lua_State *L) {
  rtl_class(L, RTL_MESH, methods, metamethods);
  return rtl_new(L, sizeof(rtl_mesh), RTL_MESH, 0);
}

RTL_OPEN luaopen_rtlua_core_mesh(lua_State *L) {
  static const luaL_Reg functions[] = {{"load", l_load}, {"new", l_new}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
