/* rtlua.core.sandbox: a Lua state of its own for code that nobody has read, with a limit on its memory.
 *
 * The state, called the box, loads the library as trusted code and runs one of its functions; that function gives the
 * scene's chunk an environment (scripts/rtlua/sandbox.lua) and decides what comes out. Between the states go plain
 * data, written to bytes in one and read in the other, so that an error in one state never unwinds the other; and
 * scenes, by reference.
 *
 * Whatever a scene gets hold of, these bindings read files only below the box's folders and write none: bind.h's
 * rtl_refuse_*. The box's allocator refuses what exceeds the limit, and large blocks once the guard wants the end,
 * which stops string.rep and its like. */
#include <limits.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "guard.h"

#define BOX "rtlua.sandbox"
#define DEFAULT_MEMORY ((lua_Integer)4 << 30)
#define LARGE_BLOCK 65536         /* bytes: what is larger is refused to code that is being stopped */
#define RESERVE ((size_t)1 << 20) /* bytes beyond the limit, for the error that stops it */
#define MAX_DEPTH 64              /* nesting of data that crosses */

typedef struct {
  lua_State *S; /* NULL: closed */
  size_t used, limit;
  bool exhausted; /* the limit refused a block */
} box;

static const char BOX_KEY = 0, ROOTS_KEY = 0; /* their addresses are keys of the box's registry */

static void *allocate(void *context, void *old, size_t old_size, size_t size) {
  box *b = context;
  if (!old) old_size = 0;
  if (size == 0) {
    free(old);
    b->used -= old_size;
    return NULL;
  }
  if (size > old_size) {
    bool stopping = rtl_guard_wants_end();
    size_t limit = b->limit + (stopping ? RESERVE : 0);
    if (stopping && size > LARGE_BLOCK) return NULL;
    if (b->used > limit || size - old_size > limit - b->used) {
      b->exhausted = true;
      return NULL;
    }
  }
  void *block = realloc(old, size);
  if (block) b->used += size - old_size;
  return block;
}

/* ---- What a box may read ---- */

static bool is_below(const char *path, const char *root) {
  size_t n = strlen(root);
  if (n == 1 && *root == '/') return true;
  return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Resolves the longest part of the path that exists: what does not exist cannot be read, but its error may name it
 * only where a file could be. */
static bool resolve(const char *path, char resolved[PATH_MAX]) {
  char part[PATH_MAX];
  if (strlen(path) >= sizeof part) return false;
  strcpy(part, path);
  while (!realpath(part, resolved)) {
    char *slash = strrchr(part, '/');
    if (!slash) {
      strcpy(part, ".");
    } else if (slash == part) {
      if (part[1] == '\0') return false;
      part[1] = '\0';
    } else {
      *slash = '\0';
    }
  }
  return true;
}

static bool is_box(lua_State *L) {
  bool found = lua_rawgetp(L, LUA_REGISTRYINDEX, &BOX_KEY) != LUA_TNIL;
  lua_pop(L, 1);
  return found;
}

int rtl_refuse_reading(lua_State *L, const char *path) {
  char resolved[PATH_MAX];
  if (!is_box(L)) return 0;
  bool allowed = false;
  int before = lua_gettop(L);
  if (resolve(path, resolved)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &ROOTS_KEY);
    for (lua_Integer i = 1; !allowed && lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
      allowed = is_below(resolved, lua_tostring(L, -1));
      lua_pop(L, 1);
    }
  }
  lua_settop(L, before);
  if (allowed) return 0;
  return rtl_failure(L, RT_BAD_DATA,
                     "%s: a sandboxed scene reads only below its folder: give --asset-path, or run it with --trust",
                     path);
}

int rtl_refuse_writing(lua_State *L, const char *path) {
  if (!is_box(L)) return 0;
  return rtl_failure(L, RT_BAD_DATA, "%s: a sandboxed scene writes nothing: run it with --trust", path);
}

/* ---- Data that crosses: a tag, then what the tag wants ---- */

typedef struct {
  lua_State *L;
  int slot; /* the stack index of the userdata that holds the bytes */
  char *bytes;
  size_t size, capacity;
} writer;

static void put(writer *w, const void *data, size_t n) {
  if (n > w->capacity - w->size) {
    if (n > SIZE_MAX / 2 - w->capacity) luaL_error(w->L, "too much data");
    size_t capacity = 2 * w->capacity + n;
    char *bytes = lua_newuserdatauv(w->L, capacity, 0);
    if (w->size) memcpy(bytes, w->bytes, w->size);
    lua_replace(w->L, w->slot);
    w->bytes = bytes;
    w->capacity = capacity;
  }
  memcpy(w->bytes + w->size, data, n);
  w->size += n;
}

static void put_tag(writer *w, char tag) { put(w, &tag, 1); }

/* `what` says where in the data it is, for the error. */
static void put_value(writer *w, int index, int depth, const char *what) {
  lua_State *L = w->L;
  luaL_checkstack(L, 8, NULL);
  index = lua_absindex(L, index);
  switch (lua_type(L, index)) {
  case LUA_TNIL: put_tag(w, 'n'); return;
  case LUA_TBOOLEAN: put_tag(w, lua_toboolean(L, index) ? 't' : 'f'); return;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) {
      lua_Integer v = lua_tointeger(L, index);
      put_tag(w, 'i');
      put(w, &v, sizeof v);
    } else {
      double v = lua_tonumber(L, index);
      put_tag(w, 'd');
      put(w, &v, sizeof v);
    }
    return;
  case LUA_TSTRING: {
    size_t length;
    const char *bytes = lua_tolstring(L, index, &length);
    put_tag(w, 's');
    put(w, &length, sizeof length);
    put(w, bytes, length);
    return;
  }
  case LUA_TTABLE:
    if (depth >= MAX_DEPTH) luaL_error(L, "%s is nested too deeply to leave the sandbox", what);
    put_tag(w, '{');
    for (lua_pushnil(L); lua_next(L, index);) {
      const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : what;
      put_value(w, -2, MAX_DEPTH, what);
      put_value(w, -1, depth + 1, key);
      lua_pop(L, 1);
    }
    put_tag(w, '}');
    return;
  default: {
    const rtl_scene *u = luaL_testudata(L, index, RTL_SCENE);
    if (u && u->scene && u->committed) {
      put_tag(w, '@');
      put(w, &u->scene, sizeof u->scene);
      return;
    }
    luaL_error(L, "%s is a %s and cannot leave the sandbox", what, luaL_typename(L, index));
  }
  }
}

/* Pushes the bytes of the value at `index` as a string. */
static const char *push_bytes(lua_State *L, int index, size_t *size) {
  index = lua_absindex(L, index);
  lua_pushnil(L);
  writer w = {.L = L, .slot = lua_gettop(L)};
  put_value(&w, index, 0, "what the scene returned");
  const char *bytes = lua_pushlstring(L, w.bytes, w.size);
  lua_remove(L, w.slot);
  *size = w.size;
  return bytes;
}

/* The bytes are a writer's own: they are whole. */
static const char *push_value(lua_State *L, const char *bytes) {
  lua_Integer integer;
  double number;
  size_t length;
  rt_scene *scene;
  luaL_checkstack(L, 8, NULL);
  switch (*bytes++) {
  case 't': lua_pushboolean(L, true); return bytes;
  case 'f': lua_pushboolean(L, false); return bytes;
  case 'i':
    memcpy(&integer, bytes, sizeof integer);
    lua_pushinteger(L, integer);
    return bytes + sizeof integer;
  case 'd':
    memcpy(&number, bytes, sizeof number);
    lua_pushnumber(L, number);
    return bytes + sizeof number;
  case 's':
    memcpy(&length, bytes, sizeof length);
    bytes += sizeof length;
    lua_pushlstring(L, bytes, length);
    return bytes + length;
  case '@': {
    rtl_scene *u = rtl_new_scene(L);
    memcpy(&scene, bytes, sizeof scene);
    u->scene = rt_scene_ref(scene);
    u->committed = true;
    return bytes + sizeof scene;
  }
  case '{':
    lua_newtable(L);
    while (*bytes != '}') {
      bytes = push_value(L, bytes);
      bytes = push_value(L, bytes);
      lua_rawset(L, -3);
    }
    return bytes + 1;
  default: lua_pushnil(L); return bytes;
  }
}

/* ---- The box ---- */

static box *to_box(lua_State *L) {
  box *b = luaL_checkudata(L, 1, BOX);
  if (!b->S) luaL_argerror(L, 1, "the sandbox is closed");
  return b;
}

static int l_close(lua_State *L) {
  box *b = luaL_checkudata(L, 1, BOX);
  lua_State *S = b->S;
  b->S = NULL;
  if (S) lua_close(S);
  return 0;
}

/* A call into the box; the strings belong to the state that makes it. */
typedef struct {
  const char *module, *function, *argument;
  bool returned; /* the function did: what fails then is what came out of the scene */
} request;

/* In the box, protected: leaves the result, which keeps what its bytes refer to, and the bytes. */
static int run(lua_State *S) {
  request *r = lua_touserdata(S, 1);
  size_t size;
  lua_getglobal(S, "require");
  lua_pushstring(S, r->module);
  lua_call(S, 1, 1);
  lua_getfield(S, -1, r->function);
  push_value(S, r->argument);
  lua_call(S, 1, 1);
  r->returned = true;
  push_bytes(S, -1, &size);
  return 2;
}

/* The message handler in the box: what is not a string becomes one. */
static int to_text(lua_State *S) {
  if (lua_istable(S, 1)) {
    lua_pushliteral(S, "message");
    if (lua_rawget(S, 1) == LUA_TSTRING) return 1;
  }
  lua_settop(S, 1);
  if (lua_type(S, 1) != LUA_TSTRING) lua_pushfstring(S, "an error that is a %s", luaL_typename(S, 1));
  return 1;
}

/* box:call({ name=, time_limit= }, module, function, argument): true and the result, or false and { code, message }. */
static int l_call(lua_State *L) {
  box *b = to_box(L);
  rtl_guard guard;
  rt_error err;
  size_t size;
  luaL_checktype(L, 2, LUA_TTABLE);
  request r = {.module = luaL_checkstring(L, 3), .function = luaL_checkstring(L, 4)};
  lua_settop(L, 5);
  double time_limit = rtl_number_or(L, 2, "time_limit", 0.0);
  const char *name = rtl_push_string(L, 2, "name");
  r.argument = push_bytes(L, 5, &size);

  lua_State *S = b->S;
  lua_settop(S, 0);
  lua_pushcfunction(S, to_text);
  lua_pushcfunction(S, run);
  lua_pushlightuserdata(S, &r);
  rt_status started = rtl_guard_begin(&guard, S, name ? name : "sandbox", time_limit, true, &err);
  if (started != RT_OK) return rtl_failure(L, started, "%s", err.message);
  int status = lua_pcall(S, 1, 2, 1);
  int reason = rtl_guard_end(&guard);

  lua_pushboolean(L, status == LUA_OK && !reason);
  if (reason) {
    rtl_guard_push_error(L, &guard, reason);
  } else if (status == LUA_OK) {
    push_value(L, lua_tostring(S, -1));
  } else {
    lua_createtable(L, 0, 2);
    rtl_set_integer(L, "code", status == LUA_ERRMEM || r.returned ? RT_BAD_DATA : RT_BUG);
    const char *message = lua_type(S, -1) == LUA_TSTRING ? lua_tostring(S, -1) : "an error without a message";
    lua_pushfstring(L, "%s: %s", name ? name : "sandbox", message);
    lua_setfield(L, -2, "message");
  }
  return 2;
}

/* box:exhausted(): was memory refused because of the limit? */
static int l_exhausted(lua_State *L) {
  lua_pushboolean(L, to_box(L)->exhausted);
  return 1;
}

/* What a new box is given; the strings belong to the state that makes it. */
typedef struct {
  box *box;
  const char *path, *cpath;
  const char **roots;
  size_t n_roots;
} setup;

/* In the box, protected. */
static int set_up(lua_State *S) {
  const setup *s = lua_touserdata(S, 1);
  luaL_openlibs(S);
  lua_getglobal(S, LUA_LOADLIBNAME);
  lua_pushstring(S, s->path);
  lua_setfield(S, -2, "path");
  lua_pushstring(S, s->cpath);
  lua_setfield(S, -2, "cpath");
  lua_pushlightuserdata(S, s->box);
  lua_rawsetp(S, LUA_REGISTRYINDEX, &BOX_KEY);
  lua_createtable(S, (int)s->n_roots, 0);
  for (size_t i = 0; i < s->n_roots; i++) {
    lua_pushstring(S, s->roots[i]);
    lua_rawseti(S, -2, (lua_Integer)i + 1);
  }
  lua_rawsetp(S, LUA_REGISTRYINDEX, &ROOTS_KEY);
  return 0;
}

/* new{ path=, cpath=, roots={ real paths of folders }, memory_limit= bytes } */
static int l_new(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"call", l_call}, {"exhausted", l_exhausted}, {"close", l_close}, {NULL, NULL}};
  setup s = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_Integer limit = rtl_integer_or(L, 1, "memory_limit", 1, LUA_MAXINTEGER, DEFAULT_MEMORY);
  s.path = rtl_push_string(L, 1, "path");
  s.cpath = rtl_push_string(L, 1, "cpath");
  lua_pushliteral(L, "roots");
  if (lua_rawget(L, 1) != LUA_TTABLE) rtl_expected(L, "roots", "list of folders");
  int roots = lua_gettop(L);
  s.n_roots = lua_rawlen(L, roots);
  s.roots = lua_newuserdatauv(L, s.n_roots * sizeof *s.roots, 0);
  for (size_t i = 0; i < s.n_roots; i++) {
    if (lua_rawgeti(L, roots, (lua_Integer)i + 1) != LUA_TSTRING) rtl_expected(L, "roots", "list of folders");
    s.roots[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  rtl_class(L, BOX, methods, metamethods);
  s.box = rtl_new(L, sizeof(box), BOX, 0);
  s.box->limit = (size_t)limit;
  s.box->S = lua_newstate(allocate, s.box);
  if (!s.box->S) return rtl_failure(L, RT_NO_MEMORY, "out of memory for a sandbox");
  lua_pushcfunction(s.box->S, set_up);
  lua_pushlightuserdata(s.box->S, &s);
  if (lua_pcall(s.box->S, 1, 0, 0) != LUA_OK) return rtl_failure(L, RT_NO_MEMORY, "out of memory for a sandbox");
  return 1;
}

/* refusal(path): why the running state may not read the file, or nil. */
static int l_refusal(lua_State *L) {
  if (!rtl_refuse_reading(L, luaL_checkstring(L, 1))) return 0;
  lua_pop(L, 1);
  return 1;
}

RTL_OPEN luaopen_rtlua_core_sandbox(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", l_new}, {"refusal", l_refusal}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
